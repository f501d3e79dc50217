"""The JSON schema of a study file, for editors, generated from the settings."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from tune_mlp.config import BRANCHES, Settings, TrialConfig, field_adapter
from tune_mlp.space.domains import DOMAINS, Domain
from tune_mlp.space.parsing import own_settings
from tune_mlp.space.space import EXPERIMENT
from tune_mlp.study.settings import Scheduler, Search, Until
from tune_mlp.study.study import Study

Json = dict[str, Any]
PARAMETERS = "#/$defs/Parameters"


def study_schema() -> Json:
    """Return the schema: names, types, ranges and a sentence for each setting. Rules about several values are checked on loading."""
    schema = _untitled(Study.model_json_schema())
    schema["$defs"].update(_parameter_definitions())
    properties: Json = schema["properties"]
    text = "Named experiments, each with parameters of its own beside or in place of the common ones."
    experiments = {"$ref": "#/$defs/Branch", "description": text}  # experiments are allowed at the top level alone
    space = _mapping(**_parameters(), **{EXPERIMENT: experiments})
    properties["space"] = {**space, "description": properties["space"]["description"]}
    for name, model in (("scheduler", Scheduler), ("search", Search), ("until", Until)):
        names = {"enum": list(model.model_fields)}
        text = properties[name]["description"]
        properties[name] = {"anyOf": [names, {"$ref": f"#/$defs/{model.__name__}"}], "description": text}
    small = schema["$defs"]["Plateau"]["properties"]["small"]
    schema["$defs"]["Until"]["properties"]["plateau"]["anyOf"].append(
        {k: v for k, v in small.items() if k != "default"}
    )
    properties["time_budget"]["anyOf"].append({"type": "string", "pattern": r"^(\d+(\.\d+)?[smhd])+$"})
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A study of tune_mlp", **schema}


def _parameter_definitions() -> Json:
    _, domains = models_json_schema([(domain, "validation") for domain in DOMAINS.values()])
    definitions: Json = {name: _untitled(domain) for name, domain in domains["$defs"].items()}
    definitions["Domain"] = {"anyOf": [{"$ref": f"#/$defs/{domain.__name__}"} for domain in DOMAINS.values()]}
    definitions["Parameters"] = {
        "type": ["object", "null"],
        "additionalProperties": False,
        "properties": {name: _parameter(TrialConfig, name) for name in TrialConfig.model_fields},
    }
    # What any option may own: a trial's parameters, so that depth: {choice: {2: {width: ...}}} can be said.
    prior = {"type": ["string", "integer"], "description": Domain.model_fields["prior"].description or ""}
    definitions["Branch"] = _mapping(
        choice={"type": "object", "additionalProperties": {"$ref": PARAMETERS}}, prior=prior
    )
    for branch, options in BRANCHES.items():
        definitions[branch] = _mapping(**{option: _option(model) for option, model in options.items()})
    return definitions


def _parameter(owner: type[Settings], name: str) -> Json:
    """Return the schema of a parameter: a plain value, a domain, or a branch with options."""
    forms: list[Json] = [{"$ref": "#/$defs/Domain"}]
    if owner is TrialConfig and name in BRANCHES:
        options = {"$ref": f"#/$defs/{name}"}
        prior = {"enum": list(BRANCHES[name]), "description": Domain.model_fields["prior"].description or ""}
        forms += [{"enum": list(BRANCHES[name])}, options, _mapping(choice=options, prior=prior)]
    else:
        forms += [_untitled(field_adapter(owner, name).json_schema()), {"$ref": "#/$defs/Branch"}]
        forms[1].pop("default", None)
        forms[1].pop("description", None)
    if name in ("widths", "channels"):
        forms += [{"type": "array"}, {**_mapping(list={}, length={}), "required": ["list", "length"]}]
    return {"description": owner.model_fields[name].description or "", "anyOf": forms}


def _option(model: type[Settings]) -> Json:
    """Return the schema of a branch's option, which may own its own settings and any of the trial's."""
    if not own_settings(model):
        return {"$ref": PARAMETERS, "description": model.__doc__ or ""}
    properties = _parameters() | {name: _parameter(model, name) for name in own_settings(model)}
    return {**_mapping(**properties), "type": ["object", "null"], "description": model.__doc__ or ""}


def _parameters() -> Json:
    return {name: {"$ref": f"{PARAMETERS}/properties/{name}"} for name in TrialConfig.model_fields}


def _mapping(**properties: Json) -> Json:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _untitled(schema: Any) -> Any:
    """Remove the titles, which only repeat the names; no setting is named `title`."""
    if isinstance(schema, dict):
        return {key: _untitled(value) for key, value in schema.items() if key != "title"}
    return [_untitled(item) for item in schema] if isinstance(schema, list) else schema
