import t from "tap";
import { Table, table } from "../../src/cli/table.js";

interface Row {
  readonly name: string;
  readonly count: bigint | number;
}

const columns = [
  { title: "name", value: (row: Row) => row.name },
  { title: "count", value: (row: Row) => row.count },
  { title: "note", value: (row: Row) => (row.count === 0 ? "none" : "") },
];

t.test("text stands left, numbers right with separators, nothing trails", async (t) => {
  const rows: Row[] = [
    { name: "a", count: 1234567n },
    { name: "longer name", count: 0 },
  ];
  t.equal(table(columns, rows), "name             count  note\na            1,234,567\nlonger name          0  none\n");
});

t.test("a second piece has no titles and keeps the widths of the first", async (t) => {
  const pieces = new Table(columns);
  pieces.rows([{ name: "wide enough", count: 1000 }]);
  t.equal(pieces.rows([{ name: "b", count: 1 }]), "b                1\n");
});

t.test("without rows there are titles only", async (t) => {
  t.equal(table(columns, []), "name  count  note\n");
});
