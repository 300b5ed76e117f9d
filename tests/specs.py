"""Holds requests against Intercom's and Slack's published specifications; see tests/specs.

Beyond the schemas, which allow what they do not know: every path, parameter and key of a body must be one that the
specification names, so that a misspelt one is found. Prints each fault once and exits 1 if there is any.
"""

import json
import pathlib
import sys
import urllib.parse

import jsonschema
import yaml

# What the older of Slack's documents is too old for: docs.slack.dev/reference/methods/conversations.replies.
NEWER = {"conversations.replies": {"include_all_metadata"}}


def requests(name, folder):
    """(where, method, path, body) of every request: cases first, then what the laws wrote down."""
    for case in sorted(pathlib.Path("connectors", name, "cases").glob("*.txt")):
        for line in case.read_text().splitlines():
            if line.startswith("> "):
                yield case.name, *parted(line[2:])
    for line in (folder / f"{name}.txt").read_text().splitlines():
        yield "laws", *parted(line)


def parted(line):
    method, path, *body = line.split(" ", 2)
    return method, path, json.loads(body[0]) if body else None


def plain(schema):
    """An OpenAPI 3.0 schema as JSON Schema. Where the document contradicts itself it says less: `oneOf` has members that overlap
    and is read as `anyOf`, and what a schema asks of further keys is left out where its own example breaks it."""
    if isinstance(schema, list):
        return [plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    out = {key: plain(value) for key, value in schema.items() if key not in ("nullable", "example", "examples")}
    if "oneOf" in out:
        out.setdefault("anyOf", []).extend(out.pop("oneOf"))
    example, more = schema.get("example"), out.get("additionalProperties")
    if isinstance(example, dict) and isinstance(more, dict) and "$ref" not in str(more):
        if not all(jsonschema.Draft202012Validator(more).is_valid(value) for value in example.values()):
            del out["additionalProperties"]
    if schema.get("nullable") is True:
        out = {"anyOf": [{"type": "null"}, out]}
    return out


class Intercom:
    """Intercom's OpenAPI 3.0 document."""

    def __init__(self, folder):
        (file,) = folder.glob("intercom-2.16.yaml")
        self.document = yaml.load(file.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        self.components = {"components": plain(self.document["components"])}

    def resolved(self, thing):
        while "$ref" in thing:
            found = self.document
            for step in thing["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            thing = found
        return thing

    def operation(self, method, path):
        parts = path.split("/")
        fits = []
        for template, methods in self.document["paths"].items():
            steps = template.split("/")
            open_step = [step.startswith("{") for step in steps]
            same = len(steps) == len(parts) and all(o or a == b for o, a, b in zip(open_step, steps, parts))
            if same and method.lower() in methods:
                # A step by its name goes before one that is open.
                fits.append((sum(open_step), template, methods[method.lower()]))
        return min(fits, default=(0, None, None), key=lambda fit: fit[0])[1:]

    def keys(self, schema):
        schema = self.resolved(schema)
        keys = set(schema.get("properties", {}))
        for part in ("oneOf", "anyOf", "allOf"):
            for one in schema.get(part, []):
                keys |= self.keys(one)
        return keys

    def faults(self, method, path, body):
        path, _, query = path.partition("?")
        template, operation = self.operation(method, path)
        if operation is None:
            yield f"{method} {path}: no such operation"
            return
        parameters = [self.resolved(one) for one in operation.get("parameters", [])]
        given = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        known = {one["name"] for one in parameters if one["in"] == "query"}
        for name in given.keys() - known:
            yield f"{method} {template}: no parameter `{name}`"
        for one in parameters:
            if one["in"] == "query" and one.get("required") and one["name"] not in given:
                yield f"{method} {template}: the parameter `{one['name']}` is missing"
        content = self.resolved(operation.get("requestBody", {})).get("content", {}).get("application/json")
        if body is None:
            if self.resolved(operation.get("requestBody", {})).get("required"):
                yield f"{method} {template}: a body is required"
            return
        if content is None:
            yield f"{method} {template}: takes no body"
            return
        schema = content["schema"]
        for name in body.keys() - self.keys(schema):
            yield f"{method} {template}: no key `{name}`"
        validator = jsonschema.Draft202012Validator({**self.components, **plain(schema)})
        for error in validator.iter_errors(body):
            yield f"{method} {template}: {error.json_path}: {error.message[:160]}"


class Slack:
    """Slack's methods as their reference has them, and the older Swagger document for those that it lacks."""

    def __init__(self, folder):
        self.folder = folder
        self.old = json.loads((folder / "slack_web_openapi_v2.json").read_text())["paths"]

    def arguments(self, method):
        """The names of a method's arguments with what is said of each, and the required ones."""
        file = self.folder / f"docs.slack.dev.{method}.json"
        if file.exists():
            args = json.loads(file.read_text())["args"]
            return args["properties"], set(args.get("required", []))
        for verb in self.old.get(f"/{method}", {}).values():
            return {one["name"]: one for one in verb["parameters"]}, {one["name"] for one in verb["parameters"] if one.get("required")}
        return None, set()

    def faults(self, method, path, body):
        path, _, query = path.partition("?")
        name = path.removeprefix("/api/")
        arguments, required = self.arguments(name)
        if not path.startswith("/api/") or arguments is None:
            yield f"{method} {path}: no such method"
            return
        given = dict(urllib.parse.parse_qsl(query, keep_blank_values=True)) | (body or {})
        for key in given.keys() - arguments.keys() - NEWER.get(name, set()):
            yield f"{name}: no argument `{key}`"
        # The token goes as a header.
        for key in required - given.keys() - {"token"}:
            yield f"{name}: the argument `{key}` is missing"
        for key, value in given.items():
            kind = arguments.get(key, {}).get("type")
            fits = {"boolean": (bool, str), "integer": (int, str), "number": (int, float, str)}.get(kind)
            if fits and not isinstance(value, fits):
                yield f"{name}: `{key}` is no {kind}"
            if kind in ("integer", "number") and isinstance(value, str) and not value.lstrip("-").replace(".", "", 1).isdigit():
                yield f"{name}: `{key}` is no {kind}"


def main():
    specs, folder = map(pathlib.Path, sys.argv[1:])
    bad = 0
    for name, specification in (("intercom", Intercom(specs / "intercom")), ("slack", Slack(specs / "slack"))):
        seen, faults = 0, {}
        for where, method, path, body in requests(name, folder):
            seen += 1
            for fault in specification.faults(method, path, body):
                faults.setdefault(fault, where)
        for fault, where in sorted(faults.items()):
            print(f"{name}: {fault} (first in {where})")
        print(f"tests/specs: {name}: {seen} requests, {len(faults)} kinds of fault")
        bad += len(faults) + (seen < 50)
    sys.exit(bad > 0)


main()
