// The product x W^T + b of a few or many rows with a weight that was packed once.
//
// The weight lies in panels of 32 output channels; a panel holds, for each step along the inputs, the words of its 32
// channels side by side, a word being as many inputs as one multiply-add instruction takes in a 32-bit lane. Each output
// is one accumulator that walks over the inputs from first to last: its bits do not depend on how many rows there are,
// on which of the row blocks below it is computed in, or by which thread.
#pragma once

#include <algorithm>
#include <atomic>

#include "panels.h"

namespace portico::PORTICO_ISA {

template <class Product>
struct Shape {
    static constexpr int DEPTH = Product::DEPTH;
    int64_t steps;  // words along the inputs
    int64_t panels;

    explicit Shape(const LinearArguments& a) : steps((a.inputs + DEPTH - 1) / DEPTH), panels(panels_of(a)) {}
    int64_t panel_elements() const { return steps * PANEL * DEPTH; }
};

constexpr int PACK_AHEAD = 4 * LINE;  // bytes of a channel that are fetched before they are read

// Copy a weight [outputs, inputs] into panels and tell whether all of it is finite; what is past its edges is zero. A line of
// each of 16 channels is read at a time.
template <class Product>
bool pack_linear(const LinearArguments& a) {
    using T = typename Product::Element;
    const Shape<Product> shape(a);
    const int64_t whole = a.inputs / Product::DEPTH;
    std::atomic<bool> finite = true;
    share_out(shape.panels, 1, [&](int64_t panel) {
        auto* to = (uint32_t*)((T*)a.packed + panel * shape.panel_elements());
        const int channels = (int)std::min<int64_t>(PANEL, a.outputs - panel * PANEL);
        if (channels < PANEL) std::memset(to, 0, shape.panel_elements() * sizeof(T));
        const T* weight = (const T*)a.weight + panel * PANEL * a.inputs;
        Finite<T> seen;
        for (int64_t first = 0; first < whole; first += LANES) {
            const int count = (int)std::min<int64_t>(LANES, whole - first);
            for (int half = 0; half < channels; half += LANES) {
                Words lines[LANES] = {};
                const T* from = weight + half * a.inputs + first * Product::DEPTH;
                if (count == LANES && channels - half >= LANES) {
                    each<LANES>(PORTICO_EACH(i) {
                        lines[i] = load_raw<Words>(from + i * a.inputs);
                        __builtin_prefetch((const char*)(from + i * a.inputs) + PACK_AHEAD);
                    });
                } else {
                    for (int i = 0; i < std::min(LANES, channels - half); i++)
                        std::memcpy(&lines[i], from + i * a.inputs, count * sizeof(uint32_t));
                }
                each<LANES>(PORTICO_EACH(i) { seen.see(lines[i]); });
                transpose(lines);
                for (int i = 0; i < count; i++) store_raw(to + (first + i) * PANEL + half, lines[i]);
            }
        }
        for (int channel = 0; channel < channels && whole < shape.steps; channel++) {
            T last[LINE / sizeof(T)] = {};
            std::copy_n(weight + channel * a.inputs + whole * Product::DEPTH, a.inputs - whole * Product::DEPTH, last);
            std::memcpy(to + whole * PANEL + channel, last, Product::DEPTH * sizeof(T));
            seen.see(load_raw<Words>(last));
        }
        if (!seen.all()) finite = false;
    });
    return finite;
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

// ROWS rows of x times one panel.
template <class Product, int ROWS>
void multiply(const LinearArguments& a, const Shape<Product>& shape, int64_t panel, int64_t row, Ahead ahead) {
    using T = typename Product::Element;
    const T* x[ROWS];
    for (int r = 0; r < ROWS; r++) x[r] = (const T*)a.x + (row + r) * a.x_stride;
    const T* weight = (const T*)a.packed + panel * shape.panel_elements();
    fetch_outputs<T, ROWS>(a, panel, row);
    Floats sums[ROWS][2] = {};
    const int64_t whole = a.inputs / Product::DEPTH;
    for (int64_t step = 0; step < whole; step++, weight += PANEL * Product::DEPTH) {
        ahead.fetch();
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
        for (int half = 0; half < 2; half++) store_panel_half<T>(a, panel * PANEL + half * LANES, row + r, sums[r][half]);
}

template <class Product>
struct Multiply {
    static constexpr int BLOCK_ROWS = 12, ALONE_ROWS = 12;  // rows computed together: 24 accumulators of 32 registers
    static constexpr bool READS_FIRST = false;
    const LinearArguments& a;
    const Shape<Product> shape;

    explicit Multiply(const LinearArguments& arguments) : a(arguments), shape(arguments) {}
    const char* panel(int64_t number) const {
        return (const char*)a.packed + number * shape.panel_elements() * sizeof(typename Product::Element);
    }
    template <int ROWS>
    void block(int64_t panel, int64_t row, Ahead ahead) const {
        multiply<Product, ROWS>(a, shape, panel, row, ahead);
    }
};

template <class Product>
void linear(const LinearArguments& a) {
    over_panels<Multiply<Product>>(a, {a.rows, LEAST_ROWS, a.rows});
}

}  // namespace portico::PORTICO_ISA
