"""Writes vocabularies.tsv from the tables of HL7's v2-to-FHIR guide (CC0).

    python3 tests/guide_types/import.py PATH/mappings

Facts only: tables, codes, systems and displays; none of the guide's sentences. The tables of the data types are not read yet.
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


def main():
    source = Path(sys.argv[1])
    lines = ["\t".join(["map", "table", "code", "when", "becomes", "system", "display", "class"])]
    for path in sorted((source / "codesystems").glob("*.csv")):
        name = re.search(r"Map_ (.+?) - ", path.name).group(1).strip()
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
        lines += ["\t".join(row) for row in vocabulary_rows(name, rows)]
    (HERE / "vocabularies.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("vocabularies.tsv", len(lines) - 1)


if __name__ == "__main__":
    main()
