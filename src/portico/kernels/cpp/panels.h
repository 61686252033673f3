// How products with packed weights are divided: over threads by panels of output channels, within a panel by blocks of rows.
#pragma once

#include <algorithm>

#include "arguments.h"
#include "simd.h"
#include "team.h"

namespace portico::PORTICO_ISA {

constexpr int PANEL = 2 * LANES;  // output channels
constexpr int LEAST_ROWS = 48;    // that are worth a thread of their own

inline int64_t panels_of(const LinearArguments& a) { return (a.outputs + PANEL - 1) / PANEL; }

// Which weights to fetch into the second-level cache while others are read, so many lines for two lines read.
struct Ahead {
    const char* from = nullptr;
    int lines = 0;

    void fetch() {
        for (int line = 0; line < lines; line++, from += 64) __builtin_prefetch(from, 0, 2);
    }
};

constexpr int64_t NEAR = 8192;  // bytes read while memory answers

// Sixteen outputs of a row, with their bias, from `channel` on; those past the last are left out.
template <class T>
inline void store_panel_half(const LinearArguments& a, int64_t channel, int64_t row, Floats sum) {
    const int count = (int)std::min<int64_t>(LANES, a.outputs - channel);
    if (count <= 0) return;
    if (a.bias) sum += padded((const T*)a.bias + channel, count, 0.0f);
    store_first((T*)a.out + row * a.outputs + channel, sum, count);
}

template <class Kernel, int ROWS = Kernel::BLOCK_ROWS>
inline void multiply_block(const Kernel& kernel, int64_t panel, int64_t row, int64_t rows, Ahead ahead) {
    if (rows == ROWS) return kernel.template block<ROWS>(panel, row, ahead);
    if constexpr (ROWS > 1) multiply_block<Kernel, ROWS - 1>(kernel, panel, row, rows, ahead);
}

// Rows `row` to `end` times one panel, in blocks of nearly the same size; `cold`: nothing has fetched the panel yet;
// `more`: the next panel is next.
template <class Kernel>
inline void multiply_panel(const Kernel& kernel, int64_t panel, int64_t row, int64_t end, bool cold, bool more) {
    const int64_t blocks = (end - row + Kernel::BLOCK_ROWS - 1) / Kernel::BLOCK_ROWS;
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

template <class Kernel>
void over_panels(const LinearArguments& a, const Kernel& kernel) {
    if (a.rows == 0) return;
    // Rows are split too where the panels alone would not keep every thread busy.
    const int64_t panels = panels_of(a), most_parts = (a.rows + LEAST_ROWS - 1) / LEAST_ROWS;
    const int64_t threads = team_size(), parts = std::clamp<int64_t>(4 * threads / panels, 1, most_parts);
    const int64_t part_rows = (a.rows + parts - 1) / parts;
    const int64_t together = std::clamp<int64_t>(panels / (8 * threads), 1, 8);
    const int64_t groups = (panels + together - 1) / together;
    share_out(parts * groups, 1, [&](int64_t number) {
        const int64_t part = number / groups, group = number % groups;
        const int64_t begin = part * part_rows, end = std::min(a.rows, begin + part_rows);
        const int64_t last = std::min(panels, (group + 1) * together) - 1;
        for (int64_t panel = group * together; panel <= last; panel++)
            multiply_panel(kernel, panel, begin, end, panel == group * together, panel < last);
    });
}

}  // namespace portico::PORTICO_ISA
