// The modes of every family, at ROWS points of one node.  What the constants are, the family's page in Python says.

#pragma once

#include "vectors.h"

// What a family is at one node: `constants` are those that its page gives for a derivative, `table` is the node's
// state.
struct Family {
  int64_t kind;
  int first, size;
  const float* constants;
  const float* table;

  // Mode number m at LANES points, into out[(m - first) * ROWS]; modes before the first are left out.
  void put(float* out, int m, Vector value) const {
    if (m >= first) store(out + (m - first) * ROWS, value);
  }
};

// Each of the following fills out[(m - first) * ROWS + row] for m = first, ..., size - 1 at ROWS points x.

// Orthogonal polynomials by their ratio to the value at the nearer end, in differences (Oliver 1977).
// constants: 1 for tanh; the middle, 2 / length; low end, high end, each in two parts; how many leading modes are 0;
// two values a mode, at the right and at the left end; a, a', c, c' a step, of the right and the left end.
static void polynomials(const Family& f, const float* x, float* out) {
  const bool tanh = f.constants[0] != 0;
  const float middle = f.constants[1], slope = f.constants[2], *low = f.constants + 3, *high = f.constants + 5;
  const int zeros = (int)f.constants[7], count = f.size - zeros;
  const float *ends = f.constants + 8, *steps = ends + 2 * count;
  Vector gap[VECTORS], ratio[VECTORS], change[VECTORS];
  Integers left[VECTORS];
  for (int v = 0; v < VECTORS; v++) {
    const Vector point = load(x + v * LANES), centred = point - middle;
    left[v] = centred < 0;
    if (tanh) {
      const Vector decay = exponential(-2.0f * slope * magnitude(centred));
      gap[v] = 2.0f * decay / (1.0f + decay);
    } else {
      gap[v] = select(left[v], (point - low[0]) - low[1], (high[0] - point) + high[1]) * slope;
    }
    ratio[v] = all(1) + 0.0f * gap[v];
    change[v] = all(0);
  }
  const auto side = [&](const float* pair, int v) {
    return pair[0] == pair[1] ? all(pair[0]) : select(left[v], all(pair[1]), all(pair[0]));
  };
  for (int m = f.first; m < zeros; m++)
    for (int v = 0; v < VECTORS; v++) f.put(out + v * LANES, m, all(0));
  for (int n = 0; n < count; n++) {
    if (n > 0)
      for (int v = 0; v < VECTORS; v++) {
        change[v] = side(steps + 4 * (n - 1) + 2, v) * change[v] - side(steps + 4 * (n - 1), v) * (gap[v] * ratio[v]);
        ratio[v] += change[v];
      }
    for (int v = 0; v < VECTORS; v++) f.put(out + v * LANES, n + zeros, ratio[v] * side(ends + 2 * n, v));
  }
}

// B-splines on uniform knots.  constants: the number of cells, the degree k; what remains of a value beyond the ends;
// the k + 1 polynomials of a cell, k + 1 coefficients each, lowest power first; then those of the slope beyond the
// ends.  table: the ends of the domain.
constexpr int MOST_TERMS = 8;

// The k + 1 splines that are not 0 at each of ROWS points, by the number of the first.
struct Cells {
  int32_t first[ROWS];
  float values[MOST_TERMS][ROWS];
};

static int spline_terms(const Family& f) { return (int)f.constants[1] + 1; }

static void spline_cells(const Family& f, const float* x, Cells& cells) {
  const int terms = spline_terms(f);
  const float count = f.constants[0], keep = f.constants[2], *values = f.constants + 3,
              *slopes = values + terms * terms;
  const float low = f.table[0], high = f.table[1], half = 0.5f * count;
  for (int row = 0; row < ROWS; row += LANES) {
    const Vector z = (load(x + row) - (low + high) / 2) * (count / (high - low));
    const Vector inside = between(all(-half), z, all(half)), beyond = z - inside;
    // the last cell is closed on the right; and not even a NaN is out of bounds
    Vector cell = rounded(inside + half - 0.5f);
    const Vector past = inside + half - cell;
    cell += select(past < 0, all(-1), all(0)) + select(past >= 1, all(1), all(0));
    cell = select(cell >= 0, cell, all(0));
    cell = select(cell < count, cell, all(count - 1));
    const Vector u = inside - (cell - half);
    const Integers out_there = (beyond < 0) | (beyond > 0), number = integer(cell);
    std::memcpy(cells.first + row, &number, sizeof number);
    const auto polynomial = [&](const float* powers) {
      Vector sum = all(powers[terms - 1]);
      for (int p = terms - 2; p >= 0; p--) sum = sum * u + powers[p];
      return sum;
    };
    const bool some_beyond = any(out_there);
    for (int j = 0; j < terms; j++) {
      Vector value = polynomial(values + j * terms);
      if (some_beyond) value = select(out_there, keep * value + beyond * polynomial(slopes + j * terms), value);
      store(cells.values[j] + row, value);
    }
  }
}

// Fourier series.  constants: the order K, whether a constant comes first, and its value; angle per unit; whether sine
// and cosine have changed places; the factors of the first K modes, and of the last K.
static void waves(const Family& f, const float* x, float* out) {
  const int order = (int)f.constants[0], level = (int)f.constants[1];
  const float constant = f.constants[2], scale = f.constants[3], *factors = f.constants + 5;
  const bool swapped = f.constants[4] != 0;
  std::vector<Vector>& waves = kept_waves(2 * order);
  for (int row = 0; row < ROWS; row += LANES, out += LANES) {
    Vector *sines = waves.data(), *cosines = sines + order;
    sine_cosine(load(x + row) * scale, sines[0], cosines[0]);
    if (level) f.put(out, 0, all(constant));
    for (int k = 0; k < order; k++) {
      if (k > 0) {  // of about half the angles: errors grow with k, not with its square
        const int i = (k + 1) / 2 - 1, j = k - i - 1;
        cosines[k] = cosines[i] * cosines[j] - sines[i] * sines[j];
        sines[k] = sines[i] * cosines[j] + cosines[i] * sines[j];
      }
      f.put(out, level + k, factors[k] * (swapped ? sines : cosines)[k]);
      f.put(out, level + order + k, factors[order + k] * (swapped ? cosines : sines)[k]);
    }
  }
}

// Gaussians.  constants: the order of the derivative.  table: the centres, then the inverse widths.
static void gaussians(const Family& f, const float* x, float* out) {
  const int order = (int)f.constants[0];
  for (int row = 0; row < ROWS; row += LANES, out += LANES) {
    const Vector point = between(all(-1e9f), load(x + row), all(1e9f));
    for (int m = f.first; m < f.size; m++) {
      const float inverse = f.table[f.size + m];
      const Vector r = (point - f.table[m]) * inverse;
      Vector value = exponential(-0.5f * r * r), before = all(0);
      for (int q = 0; q < order; q++) {  // Hermite's recurrence
        const Vector next = -r * value - (float)q * before;
        before = value * inverse;
        value = next * inverse;
      }
      f.put(out, m, value);
    }
  }
}

// x / (1 + e^-x).  constants: the order of the derivative; the polynomials in 1 / (1 + e^-x) that the derivatives of
// this order and of the one before are, lowest power first, of as many coefficients each.
static void swish(const Family& f, const float* x, float* out) {
  const int order = (int)f.constants[0], terms = order + 2;
  const float *powers = f.constants + 1, *before = powers + terms;
  for (int row = 0; row < ROWS; row += LANES, out += LANES) {
    const Vector point = load(x + row), sigmoid = 1.0f / (1.0f + exponential(-point));
    Vector derivative = all(0), last = all(0);
    for (int p = terms - 1; p >= 0; p--) {
      derivative = derivative * sigmoid + powers[p];
      last = last * sigmoid + before[p];
    }
    f.put(out, 0, point * derivative + (float)order * last);
  }
}

// By the numbers that trilinear.py gives them.
using Modes = void (*)(const Family&, const float*, float*);
constexpr int64_t SPLINES = 1;
static const Modes FAMILIES[] = {polynomials, nullptr, waves, gaussians, swish};
