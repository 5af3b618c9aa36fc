"""Writes datatypes.tsv from the tables of HL7's v2-to-FHIR guide (CC0).

    python3 tests/guide/import_types.py PATH/mappings

Facts only: components, types, conditions, elements, maps and constants; none of the guide's sentences (`…` stands for one).
"""

import csv
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
SPACE = re.compile(r"[\r\n\t]+")


def clean(text):
    return SPACE.sub(" ", text).strip()


def named(header, *names):
    """The columns of these names; layouts differ in what stands in between, and some lack one."""
    found = [clean(cell).lower().replace("- ", "") for cell in header]
    return [at for at, cell in enumerate(found) if cell.startswith(names)] + [len(header)]


def assigned(text):
    """A constant, or the component that is assigned; `…` where the guide tells what to do in a sentence."""
    text = clean(text)
    if re.fullmatch(r'"+[^"]*"+', text):
        return '"' + text.strip('"').strip() + '"'
    return text if re.fullmatch(r"[A-Z]+[.-][0-9.]+", text) else text and "…"


def datatype_rows(name, rows):
    number = next(at for at, row in enumerate(rows[:4]) if named(row, "computable antlr")[0] < len(row))
    header = rows[number]
    to = named(header, "fhir attribute")[0]
    columns = {
        "place": 1,
        "kind": 3,
        "when": named(header, "computable antlr")[0],
        "prose": named(header, "narrative")[0],
        "to": to,
        "fhir": next(at for at in named(header, "data type") if at > to),
        "as": named(header, "data type mapping")[0],
        "vocabulary": named(header, "vocabulary mapping")[0],
        "value": named(header, "assignment", "derived mapping")[0],
    }
    for row in rows[number + 1:]:
        cell = {key: SPACE.sub(" ", row[at]).strip() if at < len(row) else "" for key, at in columns.items()}
        if cell["place"] and cell["to"]:
            klass = "prose" if cell["prose"] and not cell["when"] else "rule"
            yield [name, cell["place"], cell["kind"], cell["when"], cell["to"], cell["fhir"], cell["as"], cell["vocabulary"],
                   assigned(cell["value"]), klass]


def sheets(folder, name):
    for path in sorted(folder.glob("*.csv")):
        with open(path, newline="", encoding="utf-8-sig") as file:
            yield re.search(name, path.name).group(1).strip(), list(csv.reader(file))


def write(file, header, rows):
    lines = ["\t".join(row) for row in [header, *rows]]
    (HERE / file).write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(file, len(lines) - 1)


def main():
    source = Path(sys.argv[1])
    write("datatypes.tsv",
          ["map", "place", "type", "when", "to", "fhir", "as", "vocabulary", "value", "class"],
          [row for name, rows in sheets(source / "datatypes", r"R4_ (.+?) - ") for row in datatype_rows(name, rows)])


if __name__ == "__main__":
    main()
