"""Citations: the tool, and the methods that a run used, as BibTeX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tune_mlp.report.material import Material
from tune_mlp.version import __version__

ENTRIES: dict[str, str] = {
    "random": "@article{bergstra2012random,\n  author = {Bergstra, James and Bengio, Yoshua},\n  title = {Random Search for Hyper-Parameter Optimization},\n  journal = {Journal of Machine Learning Research},\n  volume = {13},\n  pages = {281--305},\n  year = {2012}\n}",
    "tpe": "@inproceedings{bergstra2011algorithms,\n  author = {Bergstra, James and Bardenet, R{\\'e}mi and Bengio, Yoshua and K{\\'e}gl, Bal{\\'a}zs},\n  title = {Algorithms for Hyper-Parameter Optimization},\n  booktitle = {Advances in Neural Information Processing Systems},\n  volume = {24},\n  year = {2011}\n}",
    "optuna": "@inproceedings{akiba2019optuna,\n  author = {Akiba, Takuya and Sano, Shotaro and Yanase, Toshihiko and Ohta, Takeru and Koyama, Masanori},\n  title = {Optuna: A Next-generation Hyperparameter Optimization Framework},\n  booktitle = {Proceedings of the 25th ACM SIGKDD International Conference on Knowledge Discovery and Data Mining},\n  year = {2019}\n}",
    "asha": "@inproceedings{li2020system,\n  author = {Li, Liam and Jamieson, Kevin and Rostamizadeh, Afshin and Gonina, Ekaterina and Ben-tzur, Jonathan and Hardt, Moritz and Recht, Benjamin and Talwalkar, Ameet},\n  title = {A System for Massively Parallel Hyperparameter Tuning},\n  booktitle = {Proceedings of Machine Learning and Systems},\n  volume = {2},\n  pages = {230--246},\n  year = {2020}\n}",
    "pasha": "@inproceedings{bohdal2023pasha,\n  author = {Bohdal, Ondrej and Balles, Lukas and Wistuba, Martin and Ermis, Beyza and Archambeau, C{\\'e}dric and Zappella, Giovanni},\n  title = {{PASHA}: Efficient {HPO} and {NAS} with Progressive Resource Allocation},\n  booktitle = {International Conference on Learning Representations},\n  year = {2023}\n}",
    "hyperband": "@article{li2018hyperband,\n  author = {Li, Lisha and Jamieson, Kevin and DeSalvo, Giulia and Rostamizadeh, Afshin and Talwalkar, Ameet},\n  title = {Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization},\n  journal = {Journal of Machine Learning Research},\n  volume = {18},\n  number = {185},\n  pages = {1--52},\n  year = {2018}\n}",
    "median": "@inproceedings{golovin2017vizier,\n  author = {Golovin, Daniel and Solnik, Benjamin and Moitra, Subhodeep and Kochanski, Greg and Karro, John and Sculley, D.},\n  title = {Google Vizier: A Service for Black-Box Optimization},\n  booktitle = {Proceedings of the 23rd ACM SIGKDD International Conference on Knowledge Discovery and Data Mining},\n  pages = {1487--1495},\n  year = {2017}\n}",
    "pbt": "@article{jaderberg2017population,\n  author = {Jaderberg, Max and Dalibard, Valentin and Osindero, Simon and Czarnecki, Wojciech M. and Donahue, Jeff and Razavi, Ali and Vinyals, Oriol and Green, Tim and Dunning, Iain and Simonyan, Karen and Fernando, Chrisantha and Kavukcuoglu, Koray},\n  title = {Population Based Training of Neural Networks},\n  journal = {arXiv preprint arXiv:1711.09846},\n  year = {2017}\n}",
    "ray": "@article{liaw2018tune,\n  author = {Liaw, Richard and Liang, Eric and Nishihara, Robert and Moritz, Philipp and Gonzalez, Joseph E. and Stoica, Ion},\n  title = {Tune: A Research Platform for Distributed Model Selection and Training},\n  journal = {arXiv preprint arXiv:1807.05118},\n  year = {2018}\n}",
    "torch": "@inproceedings{paszke2019pytorch,\n  author = {Paszke, Adam and Gross, Sam and Massa, Francisco and others},\n  title = {{PyTorch}: An Imperative Style, High-Performance Deep Learning Library},\n  booktitle = {Advances in Neural Information Processing Systems},\n  volume = {32},\n  year = {2019}\n}",
    "corrected": "@article{tsamardinos2018bootstrapping,\n  author = {Tsamardinos, Ioannis and Greasidou, Elissavet and Borboudakis, Giorgos},\n  title = {Bootstrapping the Out-of-Sample Predictions for Efficient and Accurate Cross-Validation},\n  journal = {Machine Learning},\n  volume = {107},\n  pages = {1895--1922},\n  year = {2018}\n}",
    "mcnemar": "@article{mcnemar1947note,\n  author = {McNemar, Quinn},\n  title = {Note on the Sampling Error of the Difference between Correlated Proportions or Percentages},\n  journal = {Psychometrika},\n  volume = {12},\n  number = {2},\n  pages = {153--157},\n  year = {1947}\n}",
    "mnist": "@article{lecun1998gradient,\n  author = {LeCun, Yann and Bottou, L{\\'e}on and Bengio, Yoshua and Haffner, Patrick},\n  title = {Gradient-Based Learning Applied to Document Recognition},\n  journal = {Proceedings of the IEEE},\n  volume = {86},\n  number = {11},\n  pages = {2278--2324},\n  year = {1998}\n}",
    "fashion_mnist": "@article{xiao2017fashion,\n  author = {Xiao, Han and Rasul, Kashif and Vollgraf, Roland},\n  title = {Fashion-{MNIST}: A Novel Image Dataset for Benchmarking Machine Learning Algorithms},\n  journal = {arXiv preprint arXiv:1708.07747},\n  year = {2017}\n}",
    "kmnist": "@article{clanuwat2018deep,\n  author = {Clanuwat, Tarin and Bober-Irizar, Mikel and Kitamoto, Asanobu and Lamb, Alex and Yamamoto, Kazuaki and Ha, David},\n  title = {Deep Learning for Classical {Japanese} Literature},\n  journal = {arXiv preprint arXiv:1812.01718},\n  year = {2018}\n}",
    "charts": "@article{satyanarayan2017vega,\n  author = {Satyanarayan, Arvind and Moritz, Dominik and Wongsuphasawat, Kanit and Heer, Jeffrey},\n  title = {{Vega-Lite}: A Grammar of Interactive Graphics},\n  journal = {IEEE Transactions on Visualization and Computer Graphics},\n  volume = {23},\n  number = {1},\n  pages = {341--350},\n  year = {2017}\n}",
}  # fmt: skip
"""The entries, by the method or data that each is of."""


def citations(material: Material) -> str:
    """Return the entries of what was used, the tool first."""
    return "\n\n".join([_tool(material), *(ENTRIES[name] for name in used(material))])


def used(material: Material) -> list[str]:
    """Return the names of the entries of the methods and data that a run used."""
    names: list[str] = []
    if material.is_run:
        names += [*_chosen(material.setting("search")), *_chosen(material.setting("scheduler")), "ray", "torch"]
    if {"promotion_asha", "pasha"} & set(names):
        names.append("asha")
    if {"tpe", "nsga2"} & set(names):
        names.append("optuna")
    compared = material.evidence.answers.get("compare")
    if compared and compared["winner"]["corrected"] is not None and compared["trials"] > 1:
        names.append("corrected")
    if compared and any("McNemar" in line for line in compared["method"]):
        names.append("mcnemar")
    names += [str(material.results.trials.attrs["dataset"]), "charts"]
    return [name for name in dict.fromkeys(names) if name in ENTRIES]


def _chosen(raw: Any) -> list[str]:
    return [str(name) for name in raw] if isinstance(raw, Mapping) else [raw] if isinstance(raw, str) else []


def _tool(material: Material) -> str:
    versions = material.results.manifest.get("versions", {})
    version = versions.get("tune_mlp", __version__)
    year = str(material.results.manifest.get("started", ""))[:4]
    dated = f",\n  year = {{{year}}}" if year.isdecimal() else ""
    return (
        "@software{tune_mlp,\n  author = {{the tune\\_mlp authors}},\n  title = {tune\\_mlp: Distributed Hyperparameter Tuning for "
        f"{{PyTorch}} {{MLPs}} on {{Ray Tune}}}},\n  version = {{{version}}}{dated}\n}}"
    )
