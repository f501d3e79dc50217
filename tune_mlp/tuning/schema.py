"""The JSON schema of a study file, for editors: made from the settings themselves."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from tune_mlp.config import BRANCHES, Settings, TrialConfig, field_adapter
from tune_mlp.space.domains import DOMAINS
from tune_mlp.tuning.settings import Scheduler, Search
from tune_mlp.tuning.study import Study

Json = dict[str, Any]


def study_schema() -> Json:
    """Names, types, ranges and a sentence for each setting. What depends on more than one value is checked on loading."""
    schema = Study.model_json_schema()
    definitions: Json = schema.setdefault("$defs", {})
    _, domains = models_json_schema([(domain, "validation") for domain in DOMAINS.values()])
    definitions.update(domains["$defs"])
    definitions["Parameters"] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: _parameter(TrialConfig, name) for name in TrialConfig.model_fields},
    }
    properties: Json = schema["properties"]
    properties["space"] = {"$ref": "#/$defs/Parameters", "description": properties["space"]["description"]}
    for name, model in (("scheduler", Scheduler), ("search", Search)):
        choices = {"enum": list(model.model_fields)}
        properties[name] = {
            "anyOf": [choices, {"$ref": f"#/$defs/{model.__name__}"}],
            "description": properties[name]["description"],
        }
    properties["time_budget"]["anyOf"].append({"type": "string", "pattern": r"^(\d+(\.\d+)?[smhd])+$"})
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "tune_mlp study", **schema}


def _parameter(owner: type[Settings], name: str) -> Json:
    """A plain value, a domain, or a branch with options of its own."""
    domains = [{"$ref": f"#/$defs/{domain.__name__}"} for domain in DOMAINS.values()]
    branch = {"type": "object", "required": ["choice"], "properties": {"choice": {"type": "object"}}}
    forms: list[Json] = [*domains]
    if owner is TrialConfig and name in BRANCHES:
        options = {"type": "object", "properties": {o: _options(model) for o, model in BRANCHES[name].items()}}
        options["additionalProperties"] = False
        forms += [{"enum": list(BRANCHES[name])}, options]
        branch = {**branch, "properties": {"choice": options}, "additionalProperties": False}
    else:
        value = field_adapter(owner, name).json_schema()
        forms.append({key: part for key, part in value.items() if key not in ("default", "title", "description")})
        branch["additionalProperties"] = False
    if name == "widths":
        forms += [
            {"type": "array"},
            {"type": "object", "required": ["list", "length"], "properties": {"list": {}, "length": {}}},
        ]
    return {"description": owner.model_fields[name].description or "", "anyOf": [*forms, branch]}


def _options(model: type[Settings]) -> Json:
    """What an option of a branch may own: its own settings, and any of the trial's."""
    own = {name: _parameter(model, name) for name in model.model_fields if name != "name"}
    return {"type": ["object", "null"], "description": model.__doc__ or "", "properties": own}
