// How products with packed weights are divided: over threads by panels of output channels, within a panel by blocks of rows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "arguments.h"
#include "simd.h"
#include "team.h"

namespace portico::PORTICO_ISA {

constexpr int PANEL = 2 * LANES;  // output channels
constexpr int LEAST_ROWS = 48;    // that are worth a thread of their own
constexpr int LINE = 64;          // bytes of the cache that come together

inline int64_t panels_of(const LinearArguments& a) { return (a.outputs + PANEL - 1) / PANEL; }

// Which weights to fetch into the second-level cache while others are read, so many lines for two lines read.
struct Ahead {
    const char* from = nullptr;
    int lines = 0;

    void fetch(int times = 1) {
        for (int line = 0; line < lines * times; line++, from += LINE) __builtin_prefetch(from, 0, 2);
    }
};

constexpr int64_t NEAR = 8192;  // bytes read while memory answers

// Memory of the calling thread, from the start of a line on; grown and never shrunk.
inline uint8_t* scratch(size_t bytes) {
    static thread_local std::vector<uint8_t> memory;
    memory.resize(std::max(memory.size(), bytes + LINE - 1));
    return memory.data() + -(uintptr_t)memory.data() % LINE;
}

// Sixteen outputs of a row, with their bias, from `channel` on; those past the last are left out.
template <class T>
inline void store_panel_half(const LinearArguments& a, int64_t channel, int64_t row, Floats sum) {
    const int count = (int)std::min<int64_t>(LANES, a.outputs - channel);
    if (count <= 0) return;
    if (a.bias) sum += padded((const T*)a.bias + channel, count, 0.0f);
    store_first((T*)a.out + row * a.outputs + channel, sum, count);
}

// Have the lines of a panel's outputs at hand when they are written: they lie a row apart, and each would be waited for.
template <class T, int ROWS>
inline void fetch_outputs(const LinearArguments& a, int64_t panel, int64_t row) {
    const char* to = (const char*)((const T*)a.out + row * a.outputs + panel * PANEL);
    for (int r = 0; r < ROWS; r++, to += a.outputs * sizeof(T))
        for (int64_t byte = 0; byte < PANEL * (int64_t)sizeof(T); byte += LINE) __builtin_prefetch(to + byte, 1);
}

// Rows that a product is divided into, counted as Kernel::block does: one by one, or in tiles.
struct Rows {
    int64_t count;
    int64_t least;  // that are worth a thread of their own
    int64_t most;   // that a thread takes at once
};

template <class Kernel, int ROWS = Kernel::ALONE_ROWS>
inline void multiply_block(Kernel& kernel, int64_t panel, int64_t row, int64_t rows, Ahead ahead) {
    if (rows == ROWS) return kernel.template block<ROWS>(panel, row, ahead);
    if constexpr (ROWS > 1) multiply_block<Kernel, ROWS - 1>(kernel, panel, row, rows, ahead);
}

// Rows `row` to `end` times one panel, in one block if they are few or in several of nearly the same size; `cold`: nothing has fetched the panel yet;
// `more`: the next panel is next.
template <class Kernel>
inline void multiply_panel(Kernel& kernel, int64_t panel, int64_t row, int64_t end, bool cold, bool more) {
    const int64_t blocks = end - row <= Kernel::ALONE_ROWS ? 1 : (end - row + Kernel::BLOCK_ROWS - 1) / Kernel::BLOCK_ROWS;
    const char* next = kernel.panel(panel + 1);
    const int64_t half = (next - kernel.panel(panel)) / 2;
    for (int64_t block = 0; block < blocks; block++) {
        const int64_t rows = (end - row + blocks - block - 1) / (blocks - block);
        Ahead ahead;
        if (block == 0 && (cold || blocks == 1)) ahead = {kernel.panel(panel) + NEAR, 2};
        else if (block < 2 && more) ahead = {next + block * half, 1};
        multiply_block(kernel, panel, row, rows, ahead);
        row += rows;
    }
}

// Each piece of the work makes a Kernel of its own of the arguments, on the thread that does it.
template <class Kernel, class... Inputs>
void over_panels(const LinearArguments& a, Rows rows, const Inputs&... inputs) {
    if (rows.count == 0) return;
    // Rows are split too where the panels alone would not keep every thread busy.
    const int64_t panels = panels_of(a), most_parts = (rows.count + rows.least - 1) / rows.least;
    const int64_t least_parts = (rows.count + rows.most - 1) / rows.most, threads = team_size();
    const int64_t parts = std::max(least_parts, std::clamp<int64_t>(4 * threads / panels, 1, most_parts));
    const int64_t part_rows = (rows.count + parts - 1) / parts;
    const int64_t together = std::clamp<int64_t>(panels / (8 * threads), 1, 8);
    const int64_t groups = (panels + together - 1) / together;
    share_out(parts * groups, 1, [&](int64_t number) {
        const int64_t part = number / groups, group = number % groups;
        const int64_t begin = part * part_rows, end = std::min(rows.count, begin + part_rows);
        const int64_t last = std::min(panels, (group + 1) * together) - 1;
        Kernel kernel(a, inputs...);
        for (int64_t panel = group * together; panel <= last; panel++)
            multiply_panel(kernel, panel, begin, end, panel == group * together, panel < last);
    });
}

}  // namespace portico::PORTICO_ISA
