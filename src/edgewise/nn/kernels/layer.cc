// Layers of Kolmogorov-Arnold networks on CPUs: the sum
//
//     T(x; w, c, g) = sum over b, m, i, o of  w[b,i] B_m(x[b,i]) c[m,i,o] g[b,o]
//
// by its derivatives with respect to g (the outputs of a layer), c (the gradient of its coefficients) and w (that of
// its inputs, where B_m stands for a derivative), as trilinear.py says.  The modes B_m are computed for a few nodes and
// ROWS samples at a time, in the layout that the product wants, and never leave the cache; of splines, only those that
// are not 0.
//
// Called by XLA through its foreign function interface.  Arrays are row-major, and have a leading axis of models.

#include "families.h"
#include "products.h"

namespace ffi = xla::ffi;
using Array = ffi::Buffer<ffi::F32>;
using Result = ffi::ResultBuffer<ffi::F32>;

constexpr int DEPTH = 96;            // modes of nodes at a time: their values fill half of a first-level cache
constexpr int64_t CACHED = 1 << 17;  // sums of a task, which leave room in a second-level cache
constexpr int64_t SAMPLES = 256;     // of a task, at most: what is copied for one serves all of them

static int64_t up_to_lanes(int64_t count) { return (count + LANES - 1) / LANES * LANES; }

// The sizes of a call, and where a model's part of an array lies; one of length 1 along the models serves all.
struct Layer {
  Array x, table;
  const Array* w;
  int64_t models, outputs;
  Family family;
  int64_t batch = x.dimensions()[1], nodes = x.dimensions()[2];

  int kept() const { return family.size - family.first; }
  int nodes_at_a_time() const { return std::max<int>(1, DEPTH / kept()); }
  double work() const { return double(models) * batch * nodes * outputs * (sparse() ? spline_terms(family) : kept()); }
  bool sparse() const { return family.kind == SPLINES; }

  // task(model, sample, samples) for all samples of all models, in parts that all threads have some of.
  template <class Task>
  void by_samples(ffi::ThreadPool& pool, Task task) const {
    const int64_t share = batch * models / (2 * pool.num_threads()), cached = CACHED / outputs;
    const int64_t most = std::max<int64_t>(ROWS, std::min({share, cached, SAMPLES}) / ROWS * ROWS);
    const int64_t parts = (batch + most - 1) / most;
    in_parallel(pool, models * parts, work(), [=](int64_t number) {
      const int64_t sample = number % parts * most;
      task(number / parts, sample, std::min(most, batch - sample));
    });
  }

  static const float* part(const Array& array, int64_t model) {
    const auto sizes = array.dimensions();
    int64_t size = 1;
    for (size_t axis = 1; axis < sizes.size(); axis++) size *= sizes[axis];
    return array.typed_data() + (sizes[0] > 1 ? model * size : 0);
  }

  // Of nodes from `node` on, at the samples from `sample` on: points and factors, [count][ROWS], 0 beyond the last row;
  // whether there are factors.
  bool points(int64_t model, int64_t sample, int rows, int64_t node, int64_t count, float* points,
              float* factors) const {
    const int64_t begin = sample * nodes + node;
    turn_in(part(x, model) + begin, nodes, rows, count, points);
    const bool one_for_all = !w || (w->dimensions()[1] == 1 && w->dimensions()[2] == 1 && batch * nodes > 1);
    if (!one_for_all) turn_in(part(*w, model) + begin, nodes, rows, count, factors);
    return !one_for_all;
  }

  Family of_node(int64_t model, int64_t node) const {
    Family own = family;
    if (table.dimensions()[2] > 0) own.table = part(table, model) + node * table.dimensions()[2];
    return own;
  }

  // The modes of these nodes at these samples, times the factors: panel[(i * kept + m) * ROWS + row].
  void modes(int64_t model, int64_t sample, int rows, int64_t node, int count, float* panel) const {
    float *at = scratch(0, 2 * (size_t)count * ROWS), *factors = at + count * ROWS;
    const bool weighted = points(model, sample, rows, node, count, at, factors);
    for (int i = 0; i < count; i++, at += ROWS, factors += ROWS) {
      FAMILIES[family.kind](of_node(model, node + i), at, panel);
      for (int m = 0; m < kept(); m++, panel += ROWS)
        for (int row = 0; weighted && row < ROWS; row += LANES)
          store(panel + row, load(panel + row) * load(factors + row));
    }
  }
};

// The points of `count` nodes at some samples, and their factors or null, by blocks of ROWS: [block][count][ROWS].
struct Turned {
  const float *at, *factors;

  Turned(const Layer& l, int64_t model, int64_t sample, int64_t samples, int64_t node, int64_t count) {
    const int64_t blocks = (samples + ROWS - 1) / ROWS, size = count * ROWS;
    float *x = scratch(0, 2 * blocks * size), *w = x + blocks * size;
    bool weighted = false;
    for (int64_t block = 0; block < blocks; block++) {
      const int rows = std::min<int64_t>(ROWS, samples - block * ROWS);
      weighted = l.points(model, sample + block * ROWS, rows, node, count, x + block * size, w + block * size);
    }
    at = x, factors = weighted ? w : nullptr;
  }

  // The splines of a node that are not 0 at the ROWS points from `place` on, times their factors.
  void cells(const Layer& l, int64_t model, int64_t node, int64_t place, Cells& cells) const {
    spline_cells(l.of_node(model, node), at + place, cells);
    for (int j = 0; factors && j < spline_terms(l.family); j++)
      for (int row = 0; row < ROWS; row += LANES)
        store(cells.values[j] + row, load(cells.values[j] + row) * load(factors + place + row));
  }
};

// Number d of the coefficients [outputs] of nodes from `node` on, in the order of Layer::modes.
static const float* coefficients_of(const Layer& l, const float* c, int64_t node, int64_t d) {
  return c + (d % l.kept() * l.nodes + node + d / l.kept()) * l.outputs;
}

// The coefficients of these nodes, in the order of Layer::modes, in groups of TILE outputs, the last one filled up with
// anything: to[(o / TILE * depth + d) * TILE + o % TILE].
static void pack_by_outputs(const Layer& l, const float* c, int64_t node, int count, float* to) {
  const int64_t depth = count * l.kept();
  for (int64_t d = 0; d < depth; d++) {
    const float* from = coefficients_of(l, c, node, d);
    int64_t o = 0;
    for (; o + TILE <= l.outputs; o += TILE) std::memcpy(to + o * depth + d * TILE, from + o, sizeof(float) * TILE);
    if (o < l.outputs) std::memcpy(to + o * depth + d * TILE, from + o, sizeof(float) * (l.outputs - o));
  }
}

// Rows of an array with a stride of whole vectors: where they are, if it has one, else copied, 0 in what is left.
static const float* aligned_rows(const float* from, int64_t stride, int64_t rows, int64_t columns, float* to) {
  const int64_t width = up_to_lanes(columns);
  if (stride == width) return from;
  for (int64_t row = 0; row < rows; row++, from += stride, to += width) {
    std::memcpy(to, from, sizeof(float) * columns);
    std::fill(to + columns, to + width, 0.0f);
  }
  return to - rows * width;
}

// [rows][width] in groups of PAIR columns, which a product reads from one end to the other.
static const float* pack_by_pairs(const float* from, int64_t rows, int64_t width, float* to) {
  if (width <= PAIR) return from;
  for (int64_t row = 0; row < rows; row++, from += width)
    for (int64_t o = 0; o < width; o += PAIR)
      std::memcpy(to + o * rows + row * PAIR, from + o, sizeof(float) * std::min<int64_t>(PAIR, width - o));
  return to;
}

// task(terms, width) with the number of terms as a constant, so that its loops over them are unrolled, and the width,
// too, where it is that of one vector.
template <int TERMS = MOST_TERMS, class Task>
static void with_sizes(int terms, int64_t width, Task task) {
  if constexpr (TERMS > 1) {
    if (terms < TERMS) return with_sizes<TERMS - 1>(terms, width, task);
  }
  const std::integral_constant<int, TERMS> count;
  if (width == LANES)
    task(count, std::integral_constant<int64_t, LANES>());
  else
    task(count, width);
}

// visit(coefficients of a node [kept][width], its cells at up to ROWS samples, how many, the first of them, where they
// are among turned points, terms, width) for all nodes and blocks of these samples.
template <class Visit>
static void for_cells(const Layer& l, const Array& c, int64_t model, int64_t sample, int64_t samples, Visit visit) {
  const int64_t width = up_to_lanes(l.outputs);
  float* packed = scratch(1, l.kept() * width);
  const Turned points(l, model, sample, samples, 0, l.nodes);
  Cells cells;
  for (int64_t node = 0; node < l.nodes; node++) {
    const float* from = Layer::part(c, model) + node * l.outputs;
    from = aligned_rows(from, l.nodes * l.outputs, l.kept(), l.outputs, packed);
    for (int64_t begin = 0; begin < samples; begin += ROWS) {
      const int rows = std::min<int64_t>(ROWS, samples - begin);
      const int64_t place = begin * l.nodes + node * ROWS;
      points.cells(l, model, node, place, cells);
      with_sizes(spline_terms(l.family), width,
                 [&](auto terms, auto width) { visit(from, cells, rows, begin, place, terms, width); });
    }
  }
}

// ---- outputs: y[b,o] = start[b,o] + sum over m and i of w[b,i] B_m(x[b,i]) c[m,i,o] --------------------------------

static void dense_outputs(const Layer& l, const Array& c, const Array& start, int64_t model, int64_t sample,
                          int64_t samples, float* y) {
  const int step = l.nodes_at_a_time(), blocks = (samples + ROWS - 1) / ROWS;
  float *panel = scratch(1, (size_t)step * l.kept() * ROWS), *sums = scratch(2, blocks * l.outputs * ROWS);
  float* packed = scratch(3, (size_t)step * l.kept() * (l.outputs + TILE));
  const auto rows_of = [=](int block) { return (int)std::min<int64_t>(ROWS, samples - block * ROWS); };
  const bool started = start.dimensions()[2] > 0, one_for_all = start.dimensions()[1] < l.batch;
  for (int block = 0; started && block < blocks; block++) {
    float* into = sums + block * l.outputs * ROWS;
    const float* begin = Layer::part(start, model) + (one_for_all ? 0 : (sample + block * ROWS) * l.outputs);
    if (!one_for_all) turn_in(begin, l.outputs, rows_of(block), l.outputs, into);
    for (int64_t o = 0; one_for_all && o < l.outputs; o++, into += ROWS) std::fill(into, into + ROWS, begin[o]);
  }
  for (int64_t node = 0; node < l.nodes; node += step) {
    const int count = std::min<int64_t>(step, l.nodes - node), depth = count * l.kept();
    pack_by_outputs(l, Layer::part(c, model), node, count, packed);
    for (int block = 0; block < blocks; block++) {
      l.modes(model, sample + block * ROWS, rows_of(block), node, count, panel);
      for (int64_t o = 0; o < l.outputs; o += TILE)
        tiles(std::min<int64_t>(TILE, l.outputs - o), ROWS, depth, {packed + o * depth, TILE, 1}, {panel, ROWS, PAIR},
              {sums + (block * l.outputs + o) * ROWS, ROWS, started || node > 0});
    }
  }
  y += (model * l.batch + sample) * l.outputs;
  for (int block = 0; block < blocks; block++)
    turn_out(sums + block * l.outputs * ROWS, rows_of(block), l.outputs, y + block * ROWS * l.outputs, l.outputs);
}

static void sparse_outputs(const Layer& l, const Array& c, const Array& start, int64_t model, int64_t sample,
                           int64_t samples, float* y) {
  const int64_t width = up_to_lanes(l.outputs);
  float* sums = scratch(2, samples * width);
  std::fill(sums, sums + samples * width, 0.0f);
  if (start.dimensions()[2] > 0) {
    const bool one_for_all = start.dimensions()[1] < l.batch;
    const float* begin = Layer::part(start, model) + (one_for_all ? 0 : sample * l.outputs);
    for (int64_t b = 0; b < samples; b++)
      std::memcpy(sums + b * width, begin + (one_for_all ? 0 : b * l.outputs), sizeof(float) * l.outputs);
  }
  for_cells(l, c, model, sample, samples,
            [sums](const float* from, const Cells& cells, int rows, int64_t begin, int64_t, auto terms, auto width) {
              for (int row = 0; row < rows; row++) {
                const float* rates = from + cells.first[row] * width;
                float* into = sums + (begin + row) * width;
                for (int64_t o = 0; o < width; o += LANES) {
                  Vector sum = load(into + o);
                  for (int j = 0; j < terms; j++) sum += cells.values[j][row] * load(rates + j * width + o);
                  store(into + o, sum);
                }
              }
            });
  y += (model * l.batch + sample) * l.outputs;
  for (int64_t b = 0; b < samples; b++) std::memcpy(y + b * l.outputs, sums + b * width, sizeof(float) * l.outputs);
}

static ffi::Error outputs(ffi::ThreadPool pool, Array x, Array w, Array c, Array start, Array table, Result y,
                          int64_t kind, int64_t first, int64_t size, ffi::Span<const float> constants) {
  const auto shape = y->dimensions();
  const Layer l{x, table, &w, shape[0], shape[2], {kind, (int)first, (int)size, constants.begin(), nullptr}};
  l.by_samples(pool, [&](int64_t model, int64_t sample, int64_t samples) {
    (l.sparse() ? sparse_outputs : dense_outputs)(l, c, start, model, sample, samples, y->typed_data());
  });
  return ffi::Error::Success();
}

// ---- coefficients: dc[m,i,o] = sum over b of w[b,i] B_m(x[b,i]) g[b,o] ---------------------------------------------

// Of `count` nodes, added to sums[(i * kept + m) * width + o]; of rates [rows][width].
static void dense_coefficients(const Layer& l, const float* rates, int64_t model, int64_t sample, int rows,
                               int64_t node, int64_t count, float* sums) {
  const int64_t width = up_to_lanes(l.outputs);
  const int step = l.nodes_at_a_time();
  float* panel = scratch(1, (size_t)step * l.kept() * ROWS);
  const Right packed{pack_by_pairs(rates, rows, width, scratch(4, (width + LANES) * ROWS)),
                     std::min<int64_t>(width, PAIR), (int64_t)rows * PAIR};
  for (int64_t begin = 0; begin < count; begin += step) {
    const int some = std::min<int64_t>(step, count - begin), depth = some * l.kept();
    l.modes(model, sample, rows, node + begin, some, panel);
    for (int d = 0; d < depth; d += TILE)
      tiles(std::min(TILE, depth - d), width, rows, {panel + d * ROWS, 1, ROWS}, packed,
            {sums + d * width, width, true});
    sums += depth * width;
  }
}

static void sparse_coefficients(const Layer& l, const float* rates, int64_t model, int64_t sample, int rows,
                                int64_t node, int64_t count, float* sums) {
  const int64_t width = up_to_lanes(l.outputs);
  const Turned points(l, model, sample, rows, node, count);
  Cells cells;
  for (int64_t i = 0; i < count; i++, sums += l.kept() * width) {
    points.cells(l, model, node + i, i * ROWS, cells);
    with_sizes(spline_terms(l.family), width, [&, sums](auto terms, auto width) {
      for (int row = 0; row < rows; row++) {
        float* into = sums + cells.first[row] * width;
        for (int64_t o = 0; o < width; o += LANES) {
          const Vector rate = load(rates + row * width + o);
          for (int j = 0; j < terms; j++) {
            float* sum = into + j * width + o;
            store(sum, load(sum) + cells.values[j][row] * rate);
          }
        }
      }
    });
  }
}

static ffi::Error coefficients(ffi::ThreadPool pool, Array x, Array w, Array g, Array table, Result dc, int64_t kind,
                               int64_t first, int64_t size, ffi::Span<const float> constants) {
  const auto shape = dc->dimensions();
  const Layer l{x, table, &w, shape[0], shape[3], {kind, (int)first, (int)size, constants.begin(), nullptr}};
  // a task owns the coefficients of some nodes, so that no sums are to be joined, and few enough to stay in the cache
  const int64_t width = up_to_lanes(l.outputs), share = l.nodes * l.models / (2 * pool.num_threads());
  const int64_t most = std::clamp<int64_t>(l.work() < ALONE ? l.nodes : share, 1, 1 + CACHED / (l.kept() * width));
  const int64_t groups = (l.nodes + most - 1) / most;
  in_parallel(pool, l.models * groups, l.work(), [&, most, groups, width](int64_t task) {
    const int64_t model = task / groups, node = task % groups * most, count = std::min(most, l.nodes - node);
    float *sums = scratch(2, count * l.kept() * width), *packed = scratch(3, width * ROWS);
    std::fill(sums, sums + count * l.kept() * width, 0.0f);
    for (int64_t sample = 0; sample < l.batch; sample += ROWS) {
      const int rows = std::min<int64_t>(ROWS, l.batch - sample);
      const float* rates = Layer::part(g, model) + sample * l.outputs;
      rates = aligned_rows(rates, l.outputs, rows, l.outputs, packed);
      (l.sparse() ? sparse_coefficients : dense_coefficients)(l, rates, model, sample, rows, node, count, sums);
    }
    float* into = dc->typed_data() + (model * l.kept() * l.nodes + node) * l.outputs;
    for (int64_t i = 0; i < count; i++)
      for (int m = 0; m < l.kept(); m++, sums += width)
        std::memcpy(into + (m * l.nodes + i) * l.outputs, sums, sizeof(float) * l.outputs);
  });
  return ffi::Error::Success();
}

// ---- weights: dw[b,i] = sum over m and o of B_m(x[b,i]) c[m,i,o] g[b,o] --------------------------------------------

static void dense_weights(const Layer& l, const Array& c, const Array& g, int64_t model, int64_t sample,
                          int64_t samples, float* dw) {
  const int step = l.nodes_at_a_time(), blocks = (samples + ROWS - 1) / ROWS;
  float *panel = scratch(1, (size_t)step * l.kept() * ROWS), *rates = scratch(3, blocks * l.outputs * ROWS);
  float *sums = scratch(2, (size_t)(TILE + step) * ROWS), *found = sums + TILE * ROWS;
  float* packed = scratch(4, (size_t)step * l.kept() * l.outputs);
  const auto rows_of = [=](int block) { return (int)std::min<int64_t>(ROWS, samples - block * ROWS); };
  for (int block = 0; block < blocks; block++)
    turn_in(Layer::part(g, model) + (sample + block * ROWS) * l.outputs, l.outputs, rows_of(block), l.outputs,
            rates + block * l.outputs * ROWS);
  dw += (model * l.batch + sample) * l.nodes;
  for (int64_t node = 0; node < l.nodes; node += step) {
    const int count = std::min<int64_t>(step, l.nodes - node), depth = count * l.kept();
    for (int d = 0; d < depth; d++)
      std::memcpy(packed + d * l.outputs, coefficients_of(l, Layer::part(c, model), node, d),
                  sizeof(float) * l.outputs);
    for (int block = 0; block < blocks; block++) {
      l.modes(model, sample + block * ROWS, rows_of(block), node, count, panel);
      std::fill(found, found + count * ROWS, 0.0f);
      for (int d = 0; d < depth; d += TILE) {
        const int some = std::min(TILE, depth - d);
        tiles(some, ROWS, l.outputs, {packed + d * l.outputs, 1, l.outputs},
              {rates + block * l.outputs * ROWS, ROWS, PAIR}, {sums, ROWS, false});
        for (int r = 0; r < some; r++)
          for (int row = 0; row < ROWS; row += LANES) {
            float* into = found + (d + r) / l.kept() * ROWS + row;
            store(into, load(into) + load(sums + r * ROWS + row) * load(panel + (d + r) * ROWS + row));
          }
      }
      turn_out(found, rows_of(block), count, dw + block * ROWS * l.nodes + node, l.nodes);
    }
  }
}

static void sparse_weights(const Layer& l, const Array& c, const Array& g, int64_t model, int64_t sample,
                           int64_t samples, float* dw) {
  const int64_t width = up_to_lanes(l.outputs);
  const int64_t blocks = (samples + ROWS - 1) / ROWS;
  float *rates = scratch(3, samples * width), *found = scratch(2, blocks * l.nodes * ROWS);
  const float* own = Layer::part(g, model) + sample * l.outputs;
  own = aligned_rows(own, l.outputs, samples, l.outputs, rates);
  for_cells(l, c, model, sample, samples,
            [=](const float* from, const Cells& cells, int rows, int64_t begin, int64_t place, auto terms, auto width) {
              for (int row = 0; row < rows; row += LANES) {
                Vector products[LANES];
                const int some = std::min(LANES, rows - row);
                for (int lane = 0; lane < LANES; lane++) {
                  const int b = row + std::min(lane, some - 1);
                  const float* rate = from + cells.first[b] * width;
                  products[lane] = all(0);
                  for (int64_t o = 0; o < width; o += LANES) {
                    Vector sum = cells.values[0][b] * load(rate + o);
                    for (int j = 1; j < terms; j++) sum += cells.values[j][b] * load(rate + j * width + o);
                    products[lane] += sum * load(own + (begin + b) * width + o);
                  }
                }
                store(found + place + row, sums_of(products));
              }
            });
  dw += (model * l.batch + sample) * l.nodes;
  for (int64_t begin = 0; begin < samples; begin += ROWS)
    turn_out(found + begin * l.nodes, std::min<int64_t>(ROWS, samples - begin), l.nodes, dw + begin * l.nodes, l.nodes);
}

static ffi::Error weights(ffi::ThreadPool pool, Array x, Array c, Array g, Array table, Result dw, int64_t kind,
                          int64_t first, int64_t size, ffi::Span<const float> constants) {
  const int64_t models = dw->dimensions()[0], width = g.dimensions()[2];
  const Layer l{x, table, nullptr, models, width, {kind, (int)first, (int)size, constants.begin(), nullptr}};
  l.by_samples(pool, [&](int64_t model, int64_t sample, int64_t samples) {
    (l.sparse() ? sparse_weights : dense_weights)(l, c, g, model, sample, samples, dw->typed_data());
  });
  return ffi::Error::Success();
}

// ---- what XLA calls ------------------------------------------------------------------------------------------------

template <class Arguments>
static auto with_family(Arguments arguments) {
  return std::move(arguments)
      .template Ret<Array>()
      .template Attr<int64_t>("kind")
      .template Attr<int64_t>("first")
      .template Attr<int64_t>("size")
      .template Attr<ffi::Span<const float>>("constants");
}

static auto four_arrays() {
  return ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<Array>().Arg<Array>().Arg<Array>().Arg<Array>();
}

XLA_FFI_DEFINE_HANDLER_SYMBOL(edgewise_outputs, outputs, with_family(four_arrays().Arg<Array>()));
XLA_FFI_DEFINE_HANDLER_SYMBOL(edgewise_coefficients, coefficients, with_family(four_arrays()));
XLA_FFI_DEFINE_HANDLER_SYMBOL(edgewise_weights, weights, with_family(four_arrays()));
