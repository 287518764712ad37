// Figures: quantiles and least squares.

// As the simulator reckons them: between the neighbours in proportion.
export function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  const position = share * (sorted.length - 1);
  const low = Math.floor(position);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (sorted[high] - sorted[low]) * (position - low);
}

export const median = (values) => quantile(values, 0.5);

// Coefficients c >= 0 with sum over rows of ((c . x - y) / y)^2 least: a row's error counts as a
// share of it. Terms that would be negative are left out, the most negative first.
export function fit(rows) {
  const size = rows[0].x.length;
  let used = Array.from({ length: size }, (_, i) => i);
  for (;;) {
    const found = solve(rows, used);
    const worst = Math.min(...found);
    if (worst >= 0 || used.length === 1) {
      const all = new Array(size).fill(0);
      used.forEach((term, i) => { all[term] = Math.max(0, found[i]); });
      return all;
    }
    used = used.filter((_, i) => found[i] !== worst);
  }
}

// Normal equations, by elimination with pivots.
function solve(rows, used) {
  const n = used.length;
  const m = used.map((a) => [...used.map((b) => 0), 0].map((_, j) =>
    rows.reduce((sum, { x, y }) => sum + (x[a] * (j < n ? x[used[j]] : y)) / (y * y), 0)));
  for (let i = 0; i < n; ++i) {
    const pivot = m.reduce((best, row, j) => (j >= i && Math.abs(row[i]) > Math.abs(m[best][i]) ? j : best), i);
    [m[i], m[pivot]] = [m[pivot], m[i]];
    for (let j = 0; j < n; ++j) {
      if (j === i) continue;
      const factor = m[j][i] / m[i][i];
      m[j] = m[j].map((value, k) => value - factor * m[i][k]);
    }
  }
  return m.map((row, i) => row[n] / row[i]);
}
