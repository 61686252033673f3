// The product x W^T + b of a few or many rows with a weight that was packed once.
//
// The weight lies in panels of 32 output channels; a panel holds, for each step along the inputs, the words of its 32
// channels side by side, a word being as many inputs as one multiply-add instruction takes in a 32-bit lane. Each output
// is one accumulator that walks over the inputs from first to last: its bits do not depend on how many rows there are,
// on which of the row blocks below it is computed in, or by which thread.
#pragma once

#include <algorithm>

#include "arguments.h"
#include "simd.h"

namespace portico::PORTICO_ISA {

constexpr int PANEL = 2 * LANES;  // output channels
constexpr int BLOCK_ROWS = 12;    // rows computed together: 24 accumulators, and what is left of 32 registers

template <class Product>
struct Shape {
    static constexpr int DEPTH = Product::DEPTH;
    int64_t steps;  // words along the inputs
    int64_t panels;

    explicit Shape(const LinearArguments& a) : steps((a.inputs + DEPTH - 1) / DEPTH), panels((a.outputs + PANEL - 1) / PANEL) {}
    int64_t panel_elements() const { return steps * PANEL * DEPTH; }
};

// Copy a weight [outputs, inputs] into panels; what is past its edges is zero.
template <class Product>
void pack_linear(const LinearArguments& a) {
    using T = typename Product::Element;
    const Shape<Product> shape(a);
#pragma omp parallel for schedule(static)
    for (int64_t panel = 0; panel < shape.panels; panel++) {
        T* to = (T*)a.packed + panel * shape.panel_elements();
        for (int64_t step = 0; step < shape.steps; step++)
            for (int channel = 0; channel < PANEL; channel++)
                for (int part = 0; part < Product::DEPTH; part++) {
                    const int64_t out = panel * PANEL + channel, in = step * Product::DEPTH + part;
                    *to++ = out < a.outputs && in < a.inputs ? ((const T*)a.weight)[out * a.inputs + in] : T{};
                }
    }
}

// The word of a row's inputs at a step, in every lane; inputs past the last are zero.
template <class Product>
inline Words input_word(const typename Product::Element* x, int64_t step, int64_t inputs) {
    const int64_t left = inputs - step * Product::DEPTH;
    if (left >= Product::DEPTH) return splat_word(x + step * Product::DEPTH);
    typename Product::Element padded[Product::DEPTH] = {};
    std::copy_n(x + step * Product::DEPTH, left, padded);
    return splat_word(padded);
}

template <class T>
inline void store_outputs(T* to, Floats value, int count) {
    if (count >= LANES) return store(to, value);
    T whole[LANES];
    store(whole, value);
    std::copy_n(whole, std::max(count, 0), to);
}

// What to fetch into the second-level cache while something else is computed.
struct Ahead {
    const char* from = nullptr;
    int64_t lines_per_step = 0;
};

// ROWS rows of x times one panel.
template <class Product, int ROWS>
void multiply(const LinearArguments& a, const Shape<Product>& shape, int64_t panel, int64_t row, Ahead ahead) {
    using T = typename Product::Element;
    const T* x[ROWS];
    for (int r = 0; r < ROWS; r++) x[r] = (const T*)a.x + (row + r) * a.x_stride;
    const T* weight = (const T*)a.packed + panel * shape.panel_elements();
    Floats sums[ROWS][2] = {};
    const int64_t whole = a.inputs / Product::DEPTH;
    for (int64_t step = 0; step < whole; step++, weight += PANEL * Product::DEPTH) {
        for (int64_t line = 0; line < ahead.lines_per_step; line++, ahead.from += 64) __builtin_prefetch(ahead.from, 0, 2);
        const Words low = load_raw<Words>(weight), high = load_raw<Words>(weight + LANES * Product::DEPTH);
        for (int r = 0; r < ROWS; r++) {
            const Words word = splat_word(x[r] + step * Product::DEPTH);
            sums[r][0] = Product::add(sums[r][0], word, low);
            sums[r][1] = Product::add(sums[r][1], word, high);
        }
    }
    if (whole < shape.steps) {
        const Words low = load_raw<Words>(weight), high = load_raw<Words>(weight + LANES * Product::DEPTH);
        for (int r = 0; r < ROWS; r++) {
            const Words word = input_word<Product>(x[r], whole, a.inputs);
            sums[r][0] = Product::add(sums[r][0], word, low);
            sums[r][1] = Product::add(sums[r][1], word, high);
        }
    }
    for (int r = 0; r < ROWS; r++)
        for (int half = 0; half < 2; half++) {
            const int64_t channel = panel * PANEL + half * LANES;
            const int count = (int)std::min<int64_t>(LANES, a.outputs - channel);
            if (count <= 0) continue;
            Floats sum = sums[r][half];
            if (a.bias) sum += padded((const T*)a.bias + channel, count, 0.0f);
            store_outputs((T*)a.out + (row + r) * a.outputs + channel, sum, count);
        }
}

template <class Product, int ROWS = BLOCK_ROWS>
inline void multiply_block(
    const LinearArguments& a, const Shape<Product>& shape, int64_t panel, int64_t row, int64_t rows, Ahead ahead
) {
    if (rows == ROWS) return multiply<Product, ROWS>(a, shape, panel, row, ahead);
    if constexpr (ROWS > 1) multiply_block<Product, ROWS - 1>(a, shape, panel, row, rows, ahead);
}

// Rows `row` to `end` times one panel, in blocks of nearly the same size; `more`: the next panel is next.
template <class Product>
inline void multiply_panel(
    const LinearArguments& a, const Shape<Product>& shape, int64_t panel, int64_t row, int64_t end, bool more
) {
    const int64_t blocks = (end - row + BLOCK_ROWS - 1) / BLOCK_ROWS;
    const int64_t panel_bytes = shape.panel_elements() * sizeof(typename Product::Element);
    // With two blocks or more there is time to fetch the next panel, a line a step: half of it in each of the first two.
    Ahead ahead = {(const char*)a.packed + (panel + 1) * panel_bytes, more && blocks > 1};
    for (int64_t block = 0; block < blocks; block++) {
        const int64_t rows = (end - row + blocks - block - 1) / (blocks - block);
        if (block == 2) ahead.lines_per_step = 0;
        multiply_block<Product>(a, shape, panel, row, rows, ahead);
        ahead.from += panel_bytes / 2;
        row += rows;
    }
}

template <class Product>
void linear(const LinearArguments& a) {
    if (a.rows == 0) return;
    const Shape<Product> shape(a);
    // Rows are split too where the panels alone would not keep every thread busy.
    const int64_t most_parts = (a.rows + 4 * BLOCK_ROWS - 1) / (4 * BLOCK_ROWS);
    const int64_t parts = std::clamp<int64_t>(4 * a.threads / shape.panels, 1, most_parts);
    const int64_t part_rows = (a.rows + parts - 1) / parts;
    const int64_t together = std::clamp<int64_t>(shape.panels / (8 * a.threads), 1, 8);
    const int64_t groups = (shape.panels + together - 1) / together;
#pragma omp parallel for schedule(dynamic, 1) collapse(2) if (a.threads > 1)
    for (int64_t part = 0; part < parts; part++)
        for (int64_t group = 0; group < groups; group++) {
            const int64_t end = std::min(shape.panels, (group + 1) * together);
            for (int64_t panel = group * together; panel < end; panel++)
                multiply_panel<Product>(
                    a, shape, panel, part * part_rows, std::min(a.rows, (part + 1) * part_rows), panel + 1 < end
                );
        }
}

}  // namespace portico::PORTICO_ISA
