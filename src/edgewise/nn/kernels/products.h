// Small matrix products, and tasks for all cores.

#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

#include "vectors.h"
#include "xla/ffi/api/ffi.h"

// Rows of a product at a time: with two vectors each, as many sums as there are registers for.
#if defined(__AVX2__) && !defined(__AVX512F__)
constexpr int TILE = 6;
#else
constexpr int TILE = 8;
#endif
constexpr double ALONE = 4e6;  // multiplications that are done before a second thread has begun

// A[d, r] of a product is at[d * step + r * row].
struct Left {
  const float* at;
  int64_t step, row;
};

// V[d, k] is at[d * step + k % PAIR + k / PAIR * pair]: two vectors' width of columns lie side by side.
constexpr int PAIR = 2 * LANES;

struct Right {
  const float* at;
  int64_t step, pair;
};

// C[r, k] is at[r * row + k]; to be added to, or begun.
struct Sums {
  float* at;
  int64_t row;
  bool add;
};

// C[r, k] = sum over d < depth of A[d, r] V[d, k], for r < R and k < COLUMNS * LANES.
template <int R, int COLUMNS>
static inline void tile(int depth, const Left& a, const Right& v, const Sums& c) {
  Vector sum[R][COLUMNS], row[COLUMNS];
#pragma GCC unroll 16
  for (int i = 0; i < R * COLUMNS; i++)
    sum[i / COLUMNS][i % COLUMNS] = c.add ? load(c.at + i / COLUMNS * c.row + i % COLUMNS * LANES) : all(0);
  const float *left = a.at, *right = v.at;
  for (int d = 0; d < depth; d++, left += a.step, right += v.step) {
#pragma GCC unroll 16
    for (int k = 0; k < COLUMNS; k++) row[k] = load(right + k * LANES);
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
      const Vector factor = all(left[r * a.row]);
#pragma GCC unroll 16
      for (int k = 0; k < COLUMNS; k++) sum[r][k] += factor * row[k];
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < R * COLUMNS; i++)
    store(c.at + i / COLUMNS * c.row + i % COLUMNS * LANES, sum[i / COLUMNS][i % COLUMNS]);
}

// The same for up to TILE rows and any multiple of LANES columns.
template <int R = TILE>
static void tiles(int rows, int columns, int depth, Left a, Right v, Sums c) {
  if constexpr (R > 1) {
    if (rows < R) return tiles<R - 1>(rows, columns, depth, a, v, c);
  }
  for (; columns >= PAIR; columns -= PAIR, v.at += v.pair, c.at += PAIR) tile<R, 2>(depth, a, v, c);
  if (columns > 0) tile<R, 1>(depth, a, v, c);
}

// Tasks 0, ..., tasks - 1 by this thread and those of XLA's pool that are free.  It waits for tasks that others have
// begun, never for a thread to begin: all of them may be waiting here.
template <class Task>
static void in_parallel(xla::ffi::ThreadPool& pool, int64_t tasks, double work, Task task) {
  const int64_t helpers = work < ALONE ? 0 : std::min<int64_t>(tasks, pool.num_threads()) - 1;
  if (helpers <= 0) {
    for (int64_t t = 0; t < tasks; t++) task(t);
    return;
  }
  struct Progress {
    std::atomic<int64_t> next{0}, done{0};
  };
  auto progress = std::make_shared<Progress>();
  auto help = [progress, tasks, task] {
    for (int64_t t; (t = progress->next.fetch_add(1)) < tasks; progress->done.fetch_add(1)) task(t);
  };
  for (int64_t h = 0; h < helpers; h++) pool.Schedule(decltype(help)(help));
  help();
  while (progress->done.load() < tasks) std::this_thread::yield();
}
