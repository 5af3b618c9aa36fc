"""Writes segments.tsv and messages.tsv from the tables of HL7's v2-to-FHIR guide (CC0).

    python3 tests/guide/import.py PATH/mappings

Facts only: places, types, conditions, elements, maps and constants; none of the guide's sentences.
"""

import csv
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
SPACE = re.compile(r"\s+")


def clean(text):
    """One line, with plain quotation marks."""
    text = text.replace("“", '"').replace("”", '"').replace("’", "'")
    return SPACE.sub(" ", text).strip()


def named(header, *names):
    """The columns of these names, in the order of the header; layouts differ in what stands in between."""
    found = [clean(cell).lower() for cell in header]
    return [at for at, cell in enumerate(found) if any(cell.startswith(name) for name in names)]


def layout(rows):
    for number, row in enumerate(rows[:4]):
        if named(row, "computable", "code system"):
            return number + 1, row
    raise SystemExit("no header")


def sheets(folder):
    for path in sorted(folder.glob("*.csv")):
        name = re.search(r"R4_ (.+?) - ", path.name).group(1).strip()
        with open(path, newline="", encoding="utf-8-sig") as file:
            yield name, list(csv.reader(file))


def constant(text):
    """A quoted constant without its quotes; anything else as it is."""
    text = clean(text)
    inner = re.fullmatch(r'"+([^"]*?)"+', text)
    return f'"{inner.group(1).strip()}"' if inner else text


def cells(row, columns):
    return [clean(row[at]) if at is not None and at < len(row) else "" for at in columns]


def codes_of(source):
    """For each vocabulary map the first v2 code that becomes something, and what it becomes."""
    found = {}
    for path in sorted((source / "codesystems").glob("*.csv")):
        name = re.search(r"Map_ (.+?) - ", path.name).group(1).strip()
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
        first, header = layout(rows)
        v2, fhir = named(header, "code")[0], [at for at in named(header, "code") if at > 3][0]
        for row in rows[first:]:
            code, becomes = cells(row, [v2, fhir])
            if code and becomes:
                found.setdefault(plain(name), (code, becomes))
    return found


def plain(name):
    """Names of vocabularies are spelt in more than one way."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def segment_rows(name, rows, vocabularies):
    first, header = layout(rows)
    antlr = named(header, "computable antlr")[0]
    narrative = named(header, "narrative")[0]
    # Before the condition: sort order, identifier, name, data type. After it: attribute, (blank), data type.
    place, type_ = 1, 3
    to = named(header, "fhir attribute")[0]
    fhir_type = next(at for at in named(header, "data type") if at > to)
    as_ = named(header, "data type mapping")[0]
    vocabulary = named(header, "vocabulary mapping")[0]
    value = named(header, "assignment", "derived mapping")[0]
    for row in rows[first:]:
        spot, kind, when, prose, element, element_type, conversion, codes, _ = cells(
            row, [place, type_, antlr, narrative, to, fhir_type, as_, vocabulary, value])
        if not spot or not element:
            continue
        order = row[0].strip()
        if "-" not in spot and kind and order.isdigit() and order != "0":
            spot = f"{spot}-{order}"
        assigned = constant(row[value]) if value < len(row) else ""
        klass = "prose" if prose and not when else "rule"
        sample, becomes = vocabularies.get(plain(codes), ("", "")) if codes else ("", "")
        yield [name, spot, kind, when, element, element_type, conversion, codes, sample, becomes, assigned, klass]


def message_rows(name, rows):
    first, header = layout(rows)
    antlr = named(header, "computable antlr")[0]
    narrative = named(header, "narrative")[0]
    target = named(header, "primary target")[0]
    map_ = named(header, "segment map")[0]
    links = named(header, "references")[0]
    for row in rows[first:]:
        spot, when, prose, resource, segment_map = cells(row, [1, antlr, narrative, target, map_])
        if not spot or spot.startswith("/") or not resource:
            continue
        refs = [clean(part) for part in re.split(r"[;\n]", row[links])] if links < len(row) else []
        klass = "prose" if prose and not when else "rule"
        yield [name, spot, when, resource, segment_map, "", klass]
        for ref in filter(None, refs):
            yield [name, spot, when, resource, segment_map, constant_reference(ref), klass]


def constant_reference(text):
    return text.rstrip(",")


def write(file, header, rows):
    lines = ["\t".join(row) for row in [header, *rows]]
    (HERE / file).write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(file, len(lines) - 1)


def main():
    source = Path(sys.argv[1])
    vocabularies = codes_of(source)
    write("segments.tsv",
          ["map", "place", "type", "when", "to", "fhir", "as", "vocabulary", "code", "becomes", "value", "class"],
          [row for name, rows in sheets(source / "segments") for row in segment_rows(name, rows, vocabularies)])
    write("messages.tsv",
          ["structure", "place", "when", "target", "map", "reference", "class"],
          [row for name, rows in sheets(source / "messages") for row in message_rows(name, rows)])


if __name__ == "__main__":
    main()
