"""Writes vocabularies.tsv from the tables of HL7's v2-to-FHIR guide (CC0).

    python3 tests/guide_vocabularies/import.py PATH/mappings

Facts only: tables, codes, systems and displays; none of the guide's sentences.
"""

import csv
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
# Two spaces in a display are two in the code system.
SPACE = re.compile(r"[\r\n\t]+")


def clean(text):
    return SPACE.sub(" ", text).strip()


def blocks(header):
    """Where a table's columns are. Some sheets have the tables of more than one code system beside each other."""
    cells = [clean(cell).lower() for cell in header]
    starts = [at for at, cell in enumerate(cells) if cell == "code" and cells[at + 1:at + 2] == ["text"]]
    for start, end in zip(starts, starts[1:] + [len(cells)]):
        part = cells[start:end]
        code = part.index("code", 1)
        yield {
            "v2": start,
            "table": start + part.index("code system"),
            "when": start + 3,
            "prose": start + part.index("narrative"),
            "code": start + code,
            "display": start + part.index("display"),
            "system": start + part.index("code system", code),
        }


def header_of(rows):
    for number, row in enumerate(rows[:4]):
        if "code system" in [clean(cell).lower() for cell in row]:
            return number, row
    raise SystemExit("no header")


def vocabulary_rows(name, rows):
    number, header = header_of(rows)
    seen = set()
    for columns in blocks(header):
        for row in rows[number + 1:]:
            cell = {key: clean(row[at]) if at < len(row) else "" for key, at in columns.items()}
            # Two codes stand in quotation marks, which are not theirs.
            for key in ("v2", "code"):
                cell[key] = cell[key].strip('"')
            # A code that becomes nothing, and a target that nothing becomes, are no rows of a map.
            if not cell["v2"] or not cell["code"]:
                continue
            klass = "prose" if cell["prose"] and not cell["when"] else "rule"
            fact = [name, cell["table"], cell["v2"], cell["when"], cell["code"], cell["system"], cell["display"], klass]
            if tuple(fact) not in seen:
                seen.add(tuple(fact))
                yield fact


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
    write("vocabularies.tsv",
          ["map", "table", "code", "when", "becomes", "system", "display", "class"],
          [row for name, rows in sheets(source / "codesystems", r"Map_ (.+?) - ") for row in vocabulary_rows(name, rows)])


if __name__ == "__main__":
    main()
