// Vectors as wide as the processor's, by the extension that GCC and Clang share, and what the kernels need of them.

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#if defined(__AVX512F__)
constexpr int LANES = 16;
#elif defined(__AVX2__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif
constexpr int ROWS = 64;  // samples at a time
constexpr int VECTORS = ROWS / LANES;

typedef float Vector __attribute__((vector_size(4 * LANES)));
typedef int32_t Integers __attribute__((vector_size(4 * LANES)));
typedef float Unaligned __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

static inline Vector load(const float* p) { return *(const Unaligned*)p; }
static inline void store(float* p, Vector v) { *(Unaligned*)p = v; }
static inline Vector all(float value) { return value - Vector{}; }
static inline Vector bits(Integers v) {
  Vector r;
  std::memcpy(&r, &v, sizeof r);
  return r;
}
static inline Integers bits(Vector v) {
  Integers r;
  std::memcpy(&r, &v, sizeof r);
  return r;
}
static inline Vector magnitude(Vector v) { return bits(bits(v) & 0x7fffffff); }
static inline Vector between(Vector low, Vector v, Vector high) {
  v = v < low ? low : v;  // a NaN stays one
  return v > high ? high : v;
}
// To the nearest integer, for |v| < 2^22.
static inline Vector rounded(Vector v) {
  const Vector shift = all(12582912.0f);
  return (v + shift) - shift;
}
static inline Integers integer(Vector v) { return __builtin_convertvector(v, Integers); }
static inline Vector select(Integers which, Vector yes, Vector no) { return which ? yes : no; }
static inline bool any(Integers which) {
  int found = 0;
  for (int lane = 0; lane < LANES; lane++) found |= which[lane];
  return found != 0;
}

// e^v to 1e-7 of itself, for v below 88; 1e-38 below -87.  By 2^n times the series of what is left, |r| < 0.35.
static inline Vector exponential(Vector v) {
  v = between(all(-87.0f), v, all(88.0f));
  const Vector n = rounded(v * 1.44269504f);
  const Vector r = (v - n * 0.693359375f) + n * 2.12194440e-4f;
  Vector series = all(1.0f / 5040);
  for (float factorial : {720.0f, 120.0f, 24.0f, 6.0f, 2.0f, 1.0f, 1.0f}) series = series * r + 1.0f / factorial;
  return series * bits((integer(n) + 127) << 23);
}

// (sin v, cos v) to 2e-7 for |v| < 1e4: Cody-Waite reduction, and the tangent of the half angle.
static inline void sine_cosine(Vector v, Vector& sine, Vector& cosine) {
  const Vector quarter = between(all(-4e6f), rounded(between(all(-4e6f), v * 0.636619772f, all(4e6f))), all(4e6f));
  const Vector r =
      ((v - quarter * 1.5703125f) - quarter * 4.837512969970703125e-4f) - quarter * 7.54978995489188216e-8f;
  const Vector half = between(all(-0.5f), r * 0.5f, all(0.5f)), square = half * half;
  const Vector tangent =
      ((((0.02575651f * square + 0.053414f) * square + 0.13336503f) * square + 0.3333327f) * square + 1.0f) * half;
  const Vector scale = 1.0f / (1.0f + tangent * tangent);
  const Vector s = 2.0f * tangent * scale, c = (1.0f - tangent * tangent) * scale;
  const Integers n = integer(quarter) & 3, swapped = (n & 1) == 1;
  sine = select(swapped, c, s);
  cosine = select(swapped, s, c);
  sine = select(n >= 2, -sine, sine);
  cosine = select((n == 1) | (n == 2), -cosine, cosine);
}

// Memory of a thread for its blocks: grown once, kept.
static float* scratch(int which, size_t count) {
  thread_local std::vector<float> kept[5];
  if (kept[which].size() < count + LANES) kept[which].resize(count + LANES);
  auto address = reinterpret_cast<uintptr_t>(kept[which].data());
  return reinterpret_cast<float*>((address + 4 * LANES - 1) / (4 * LANES) * (4 * LANES));
}

// Sines and cosines of a thread, by order.
static std::vector<Vector>& kept_waves(size_t count) {
  thread_local std::vector<Vector> kept;
  if (kept.size() < count) kept.resize(count);
  return kept;
}

// v[i][k] to v[k][i], halves of halves at a time.
template <int HALF, size_t... K>
static inline void swap_halves(Vector* v, std::index_sequence<K...>) {
  for (int i = 0; i < LANES; i++) {
    if (i & HALF) continue;
    const Vector a = v[i], b = v[i + HALF];
    v[i] = __builtin_shufflevector(a, b, (K & HALF ? LANES + K - HALF : K)...);
    v[i + HALF] = __builtin_shufflevector(a, b, (K & HALF ? LANES + K : K + HALF)...);
  }
  if constexpr (HALF > 1) swap_halves<HALF / 2>(v, std::index_sequence<K...>());
}

// The sums of the lanes of LANES vectors.
static inline Vector sums_of(Vector* v) {
  swap_halves<LANES / 2>(v, std::make_index_sequence<LANES>());
  Vector sum = v[0];
  for (int i = 1; i < LANES; i++) sum += v[i];
  return sum;
}

static inline void transpose(const float* from, int64_t stride, float* to, int64_t to_stride) {
  Vector v[LANES];
  for (int i = 0; i < LANES; i++) v[i] = load(from + i * stride);
  swap_halves<LANES / 2>(v, std::make_index_sequence<LANES>());
  for (int i = 0; i < LANES; i++) store(to + i * to_stride, v[i]);
}

// The first `count` of LANES numbers at p; what lies before `end` may be read, too.
static inline Vector load_some(const float* p, int count, const float* end) {
  if (p + LANES <= end) return load(p);
  Vector v = all(0);
  for (int k = 0; k < count; k++) v[k] = p[k];
  return v;
}

// to[k * to_stride + i] = from[i * stride + k] for i < rows, k < columns.
static void transpose(const float* from, int64_t stride, int rows, int columns, float* to, int64_t to_stride) {
  const float *read_end = from + (rows - 1) * stride + columns, *written_end = to + (columns - 1) * to_stride + rows;
  // what a whole vector writes too much is then written again, but at the end
  const bool dense = to_stride == rows && rows < LANES;
  for (int k = 0; k < columns; k += LANES)
    for (int i = 0; i < rows; i += LANES) {
      const int some_rows = std::min(LANES, rows - i), some_columns = std::min(LANES, columns - k);
      if (some_rows == LANES && some_columns == LANES) {
        transpose(from + i * stride + k, stride, to + k * to_stride + i, to_stride);
        continue;
      }
      Vector v[LANES];
      for (int r = 0; r < LANES; r++)
        v[r] = r < some_rows ? load_some(from + (i + r) * stride + k, some_columns, read_end) : all(0);
      swap_halves<LANES / 2>(v, std::make_index_sequence<LANES>());
      for (int c = 0; c < some_columns; c++) {
        float* into = to + (k + c) * to_stride + i;
        if (some_rows == LANES || (dense && into + LANES <= written_end))
          store(into, v[c]);
        else
          for (int r = 0; r < some_rows; r++) into[r] = v[c][r];
      }
    }
}

// Up to ROWS x count of a row-major array, turned: out[column * ROWS + row], 0 beyond the last row.
static void turn_in(const float* from, int64_t stride, int rows, int count, float* out) {
  transpose(from, stride, rows, count, out, ROWS);
  if (rows < ROWS)
    for (int column = 0; column < count; column++)
      std::fill(out + column * ROWS + rows, out + (column + 1) * ROWS, 0.0f);
}

static void turn_out(const float* from, int rows, int count, float* out, int64_t stride) {
  transpose(from, ROWS, count, rows, out, stride);
}
