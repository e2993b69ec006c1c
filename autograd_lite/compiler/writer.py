"""Write functions in LLVM's language, a line at a time: values, loops, loads and stores of 8 numbers at once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

__all__ = ["LANES", "VECTOR", "ZERO", "Writer"]

LANES = 8
VECTOR = f"<{LANES} x double>"
ZERO = "zeroinitializer"


class Writer:
    """Write the body of a function: values, loops, loads and stores, line by line."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.count = 0

    def let(self, text: str) -> str:
        """Name the result of an instruction."""
        self.count += 1
        self.lines.append(f"  %v{self.count} = {text}")
        return f"%v{self.count}"

    def do(self, text: str) -> None:
        """Write an instruction without a result."""
        self.lines.append(f"  {text}")

    def variable(self, kind: str, start: str) -> str:
        """Make a variable; LLVM keeps it in a register."""
        self.count += 1
        self.lines.insert(0, f"  %v{self.count} = alloca {kind}")
        self.do(f"store {kind} {start}, ptr %v{self.count}")
        return f"%v{self.count}"

    @contextlib.contextmanager
    def loop(self, start: str, stop: str, step: int | str = 1) -> Iterator[str]:
        """Count from start by step while below stop; give the counter."""
        counter = self.variable("i64", start)
        self.count += 1
        label = f"L{self.count}"
        self.lines += [f"  br label %{label}", f"{label}:"]
        i = self.let(f"load i64, ptr {counter}")
        goes_on = self.let(f"icmp slt i64 {i}, {stop}")
        self.lines += [f"  br i1 {goes_on}, label %{label}.do, label %{label}.end", f"{label}.do:"]
        yield i
        self.do(f"store i64 {self.let(f'add nsw i64 {i}, {step}')}, ptr {counter}")
        self.lines += [f"  br label %{label}", f"{label}.end:"]

    @contextlib.contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """Do what follows only if a condition holds."""
        self.count += 1
        label = f"I{self.count}"
        self.lines += [f"  br i1 {condition}, label %{label}, label %{label}.end", f"{label}:"]
        yield
        self.lines += [f"  br label %{label}.end", f"{label}.end:"]

    def sum(self, *terms: str) -> str:
        """Add integers."""
        total, *rest = terms
        for term in rest:
            total = self.let(f"add nsw i64 {total}, {term}")
        return total

    def product(self, x: str, y: str) -> str:
        """Multiply integers."""
        return self.let(f"mul nsw i64 {x}, {y}")

    def at(self, base: str, index: str, kind: str = "double") -> str:
        """Return the address of an element."""
        return self.let(f"getelementptr inbounds {kind}, ptr {base}, i64 {index}")

    def vector(self, base: str, index: str) -> str:
        """Load 8 numbers."""
        return self.let(f"load {VECTOR}, ptr {self.at(base, index)}, align 8")

    def put(self, vector: str, base: str, index: str) -> None:
        """Store 8 numbers."""
        self.do(f"store {VECTOR} {vector}, ptr {self.at(base, index)}, align 8")

    def number(self, base: str, index: str) -> str:
        """Load a number."""
        return self.let(f"load double, ptr {self.at(base, index)}")

    def splat(self, number: str) -> str:
        """Return 8 times the same number."""
        one = self.let(f"insertelement {VECTOR} poison, double {number}, i64 0")
        return self.let(f"shufflevector {VECTOR} {one}, {VECTOR} poison, <{LANES} x i32> zeroinitializer")

    def splat_of_integers(self, number: str) -> str:
        """Return 8 times the same integer."""
        one = self.let(f"insertelement <{LANES} x i64> poison, i64 {number}, i64 0")
        return self.let(f"shufflevector <{LANES} x i64> {one}, <{LANES} x i64> poison, <{LANES} x i32> zeroinitializer")

    def lane_numbers(self, first: str) -> str:
        """Return 8 integers, counted from the first."""
        ramp = f"<{', '.join(f'i64 {k}' for k in range(LANES))}>"
        return self.let(f"add <{LANES} x i64> {self.splat_of_integers(first)}, {ramp}")

    def entry(self, table: str, *place: str) -> str:
        """Return an entry of a table as an i64."""
        small = self.let(f"load i32, ptr {self.at(table, self.sum(*place), 'i32')}")
        return self.let(f"sext i32 {small} to i64")

    def slot(self, table: str, *place: str) -> str:
        """Return where the slot that a table names begins."""
        return self.product(self.entry(table, *place), "%T")

    def arithmetic(self, name: str, *vectors: str) -> str:
        """Apply fadd, fsub, fmul or fdiv."""
        return self.let(f"{name} {VECTOR} {', '.join(vectors)}")

    def call(self, name: str, *vectors: str) -> str:
        """Call a function of vectors."""
        return self.let(f"call {VECTOR} @{name}({', '.join(f'{VECTOR} {x}' for x in vectors)})")

    def fma(self, x: str, y: str, z: str) -> str:
        """Return x·y + z, rounded once."""
        return self.call(f"llvm.fma.v{LANES}f64", x, y, z)

    def load(self, variable: str) -> str:
        """Load a vector variable."""
        return self.let(f"load {VECTOR}, ptr {variable}")

    def store(self, vector: str, variable: str) -> None:
        """Store a vector variable."""
        self.do(f"store {VECTOR} {vector}, ptr {variable}")

    def any(self, flags: str) -> str:
        """Tell whether one of 8 flags is set."""
        return self.let(f"call i1 @llvm.vector.reduce.or.v{LANES}i1(<{LANES} x i1> {flags})")

    def not_finite(self, x: str) -> str:
        """Tell which of 8 numbers are infinite or nan."""
        size = self.call(f"llvm.fabs.v{LANES}f64", x)
        return self.let(f"fcmp uge {VECTOR} {size}, splat (double 0x7FF0000000000000)")

    def transposed(self, rows: list[str]) -> list[str]:
        """Turn 8 vectors, the rows of a block, into its columns: halves, quarters and eighths change places in turn."""
        for size in (4, 2, 1):
            low = [k if k & size == 0 else k - size + LANES for k in range(LANES)]
            high = [k + size if k & size == 0 else k + LANES for k in range(LANES)]
            mixed = list(rows)
            for k in range(LANES):
                if k & size == 0:
                    for at, picked in ((k, low), (k + size, high)):
                        mask = ", ".join(f"i32 {x}" for x in picked)
                        pair = f"{VECTOR} {rows[k]}, {VECTOR} {rows[k + size]}"
                        mixed[at] = self.let(f"shufflevector {pair}, <{LANES} x i32> <{mask}>")
            rows = mixed
        return rows
