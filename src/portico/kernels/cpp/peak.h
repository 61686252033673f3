// How fast the instructions of the products are with all they need at hand: the ceiling that benchmarks hold them against.
#pragma once

#include <algorithm>

#include "arguments.h"
#include "simd.h"
#include "team.h"

namespace portico::PORTICO_ISA {

constexpr int64_t PEAK_ROUNDS = 100000, PEAK_ROWS = 12;

// Multiply and add on every thread of the team as a block of rows of a product does, but nothing else, `add` being one step
// of LANES lanes that are DEPTH deep; returns how many operations that was, a multiplication and an addition being two.
template <int DEPTH, class Sum, class Add>
int64_t peak_of(Add add) {
    const int64_t times = 16 * team_size();
    share_out(times, 1, [&](int64_t) {
        const uint32_t words[2 * LANES + PEAK_ROWS] = {};
        Sum sums[PEAK_ROWS][2] = {};
        for (int64_t round = 0; round < PEAK_ROUNDS; round++) {
            const uint32_t* from = words;
            asm volatile("" : "+r"(from));  // else what does not change would be computed once
            const Words low = load_raw<Words>(from), high = load_raw<Words>(from + LANES);
            for (int r = 0; r < PEAK_ROWS; r++) {
                const Words word = splat_word(from + 2 * LANES + r);
                sums[r][0] = add(sums[r][0], low, word);
                sums[r][1] = add(sums[r][1], high, word);
            }
        }
        Sum total{};
        for (int r = 0; r < PEAK_ROWS; r++) total += sums[r][0] + sums[r][1];
        [[maybe_unused]] volatile auto used = total[0];
    });
    return times * PEAK_ROUNDS * PEAK_ROWS * 2 * LANES * DEPTH * 2;
}

template <class Product>
int64_t peak(int format) {
    if (format == AS_IS)
        return peak_of<Product::DEPTH, Floats>([](Floats sum, Words a, Words b) { return Product::add(sum, a, b); });
    return peak_of<4, Ints>([](Ints sum, Words a, Words b) { return add_bytes(sum, a, b); });
}

}  // namespace portico::PORTICO_ISA
