// Products with weights of eight or four bits. Activations become signed bytes, a scale for each BLOCK inputs of a row.
//
// Weights lie in panels of 32 output channels, and in a panel group after group: what follows the weights of a group are
// its channels' scales. Sums within a group are integers and exact; each output adds the groups of a block, then the
// blocks, in floats from first to last, so its bits do not depend on how many rows there are.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "panels.h"

namespace portico::PORTICO_ISA {

constexpr int BLOCK = 128;

inline Ints nearest_within(Floats value, float least, float most) {
    return nearest(maximum(-maximum(-value, splat(-most)), splat(least)));
}

// Eight bits: the extreme of a channel's group becomes 127. Bytes are stored plus 128, for one factor of the instruction
// is unsigned.
struct Eight {
    using Scale = float;
    static constexpr int GROUP = 128;
    static constexpr int BLOCK_ROWS = 10;  // 20 accumulators; with 24 what is done with them every group costs more
    static constexpr int ALONE_ROWS = BLOCK_ROWS;
    static constexpr int BYTES_PER_STEP = 2 * sizeof(Words);  // a step is 4 inputs of 32 channels
    static constexpr int OFFSET = 128;
    static constexpr int DEPTH = 64;  // inputs that a tile holds of a row

    static void load_step(const uint8_t* from, Words& low, Words& high) {
        low = load_raw<Words>(from);
        high = load_raw<Words>(from + sizeof(Words));
    }
    static void put(uint8_t* group, int channel, int input, int value) {
        group[input / 4 * BYTES_PER_STEP + channel * 4 + input % 4] = (uint8_t)(value + OFFSET);
    }
    static Ints quantize(Floats value, float inverse) { return nearest_within(value * inverse, -127, 127); }
    static float scale_of(const Floats* weights) {
        Floats most{};
        for (int i = 0; i < GROUP / LANES; i++) most = maximum(most, maximum(weights[i], -weights[i]));
        return largest(most) / 127;
    }
};

// Four bits: of several scales of a channel's group the one that loses least.
struct Four {
    using Scale = Bf16;
    static constexpr int GROUP = 32;
    static constexpr int BLOCK_ROWS = 6;
    static constexpr int ALONE_ROWS = 8;  // unpacking once is worth keeping some of the sums in memory
    static constexpr int BYTES_PER_STEP = sizeof(Words);
    static constexpr int OFFSET = 8;
    static constexpr int DEPTH = 32;

    static void load_step(const uint8_t* from, Words& low, Words& high) {
        const Words both = load_raw<Words>(from);  // the first 16 channels in the low half of each byte
        low = both & 0x0f0f0f0fu;
        high = (both >> 4) & 0x0f0f0f0fu;
    }
    static void put(uint8_t* group, int channel, int input, int value) {
        uint8_t& byte = group[input / 4 * BYTES_PER_STEP + channel % LANES * 4 + input % 4];
        byte |= (uint8_t)((value + OFFSET) << (channel < LANES ? 0 : 4));
    }
    static Ints quantize(Floats value, float inverse) { return nearest_within(value * inverse, -8, 7); }
    static float scale_of(const Floats* weights) {
        const float most = largest(maximum(weights[0], weights[1])), least = -largest(maximum(-weights[0], -weights[1]));
        const float extreme = most > -least ? most : least;
        float best = 0, least_loss = INFINITY;
        for (int steps = 0; steps <= 8; steps++) {  // the first is that of llama.cpp's Q4_0: the extreme becomes -8
            const float scale = rounded<Bf16>(splat(extreme / (-8.0f + 0.25f * steps)))[0];
            if (scale == 0) break;
            Floats losses{};
            for (int i = 0; i < GROUP / LANES; i++) {
                const Floats found = __builtin_convertvector(quantize(weights[i], 1 / scale), Floats);
                const Floats error = weights[i] - found * scale;
                losses += error * error;
            }
            const float loss = sum(losses);
            if (loss < least_loss) least_loss = loss, best = scale;
        }
        return best;
    }
};

template <class Format>
struct Layout {
    static constexpr int STEPS = Format::GROUP / 4;
    static constexpr int WEIGHT_BYTES = STEPS * Format::BYTES_PER_STEP;
    static constexpr int GROUP_BYTES = WEIGHT_BYTES + PANEL * (int)sizeof(typename Format::Scale);
    static constexpr int GROUPS = BLOCK / Format::GROUP;  // of a block
    int64_t blocks;

    explicit Layout(const LinearArguments& a) : blocks((a.inputs + BLOCK - 1) / BLOCK) {}
    int64_t panel_bytes() const { return blocks * GROUPS * GROUP_BYTES; }
};

// Whether all weights are finite.
template <class T, class Format>
bool pack_quantized(const LinearArguments& a) {
    const Layout<Format> layout(a);
    std::atomic<bool> finite = true;
    share_out(panels_of(a), 1, [&](int64_t panel) {
        Finite<float> seen;
        uint8_t* group = (uint8_t*)a.packed + panel * layout.panel_bytes();
        for (int64_t begin = 0; begin < layout.blocks * BLOCK; begin += Format::GROUP, group += layout.GROUP_BYTES) {
            std::memset(group, 0, layout.GROUP_BYTES);
            auto* scales = (typename Format::Scale*)(group + layout.WEIGHT_BYTES);
            for (int channel = 0; channel < std::min<int64_t>(PANEL, a.outputs - panel * PANEL); channel++) {
                const T* weights = (const T*)a.weight + (panel * PANEL + channel) * a.inputs + begin;
                const int count = (int)std::clamp<int64_t>(a.inputs - begin, 0, Format::GROUP);
                Floats values[Format::GROUP / LANES];
                for (int i = 0; i < Format::GROUP; i += LANES) values[i / LANES] = padded(weights + i, count - i, 0.0f);
                for (const Floats& value : values) seen.see((Words)value);
                const float scale = Format::scale_of(values), inverse = scale != 0 ? 1 / scale : 0;
                store_first(scales + channel, splat(scale), 1);
                for (int i = 0; i < Format::GROUP; i += LANES) {
                    const Ints found = Format::quantize(values[i / LANES], inverse);
                    for (int lane = 0; lane < LANES; lane++) Format::put(group, channel, i + lane, found[lane]);
                }
            }
        }
        if (!seen.all()) finite = false;
    });
    return finite;
}

// Rows as signed bytes in blocks; what is past the last input is zero. Bytes lie row after row, or in tiles of rows:
// [tiles of rows][blocks][BLOCK / DEPTH][rows of a tile][DEPTH].
struct QuantizedRows {
    int64_t blocks;
    int tile_rows;    // 1: row after row
    int groups;       // of a block
    int8_t* values;   // [rows][blocks][BLOCK], or as above
    float* scales;    // [rows][blocks]
    int* begins;      // [rows][blocks][groups]: where a sum begins so that the offset of the weights falls out

    int8_t* tile(int64_t number, int64_t block) const { return values + (number * blocks + block) * tile_rows * BLOCK; }
};

template <class T, class Format>
inline void quantize_row(const LinearArguments& a, const QuantizedRows& to, int64_t row) {
    const T* x = (const T*)a.x + row * a.x_stride;
    const int64_t tile = row / to.tile_rows, inside = row % to.tile_rows * Format::DEPTH, depth_bytes = to.tile_rows * Format::DEPTH;
    for (int64_t block = 0; block < to.blocks; block++) {
        int8_t* values = to.tile(tile, block) + inside;
        const int count = (int)std::min<int64_t>(BLOCK, a.inputs - block * BLOCK);
        Floats found[BLOCK / LANES], most{};
        for (int i = 0; i < BLOCK / LANES; i++) {
            found[i] = padded(x + block * BLOCK + i * LANES, count - i * LANES, 0.0f);
            most = maximum(most, maximum(found[i], -found[i]));
        }
        const int64_t number = row * to.blocks + block;
        const float scale = largest(most) / 127, inverse = scale > 0 ? 1 / scale : 0;
        to.scales[number] = scale;
        constexpr int VECTORS = Format::GROUP / LANES, PER_ROW = Format::DEPTH / LANES;
        for (int group = 0; group < to.groups; group++) {
            Ints total{};
            for (int i = group * VECTORS; i < (group + 1) * VECTORS; i++) {
                const Ints value = nearest(found[i] * inverse);
                store_raw(values + i / PER_ROW * depth_bytes + i % PER_ROW * LANES, bytes_of(value));
                total += value;
            }
            to.begins[number * to.groups + group] = -Format::OFFSET * sum(total);
        }
    }
}

template <class T, class Format>
QuantizedRows quantize_rows(const LinearArguments& a, int tile_rows) {
    constexpr int GROUPS = Layout<Format>::GROUPS;
    const int64_t blocks = Layout<Format>(a).blocks, all = a.rows * blocks;
    const int64_t bytes = (a.rows + tile_rows - 1) / tile_rows * tile_rows * blocks * BLOCK;
    auto* values = (int8_t*)scratch(bytes + all * (1 + GROUPS) * 4);
    auto* scales = (float*)(values + bytes);
    const QuantizedRows rows = {blocks, tile_rows, GROUPS, values, scales, (int*)(scales + all)};
    share_out(a.rows, rows_worth_sharing(a.inputs), [&](int64_t row) { quantize_row<T, Format>(a, rows, row); });
    return rows;
}

// The sums of ROWS rows from `row` on with the two halves of a panel: [ROWS][2].
template <class Format, int ROWS, bool FETCH>
[[gnu::noinline]] void sums_of(const Layout<Format> layout, const QuantizedRows& x, const uint8_t* weight, int64_t row,
                               Ahead ahead, Floats* to) {
    using Layout = Layout<Format>;
    const int64_t stride = layout.blocks * BLOCK;
    const int8_t* values = x.values + row * stride;
    const float* scales = x.scales + row * layout.blocks;
    const int* begins = x.begins + row * layout.blocks * Layout::GROUPS;
    Floats sums[ROWS][2];
    each<ROWS>(PORTICO_EACH(r) { sums[r][0] = sums[r][1] = Floats{}; });
    for (int64_t block = 0; block < layout.blocks; block++) {
        Floats parts[ROWS][2];
        each<ROWS>(PORTICO_EACH(r) { parts[r][0] = parts[r][1] = Floats{}; });
        for (int group = 0; group < Layout::GROUPS; group++) {
            Ints found[ROWS][2];
            each<ROWS>(PORTICO_EACH(r) {
                found[r][0] = found[r][1] = begins[(r * layout.blocks + block) * Layout::GROUPS + group] - Ints{};
            });
            for (int step = 0; step < Layout::STEPS; step++, weight += Format::BYTES_PER_STEP, values += 4) {
                if (FETCH && step % (2 * LINE / Format::BYTES_PER_STEP) == 0) ahead.fetch();
                Words low, high;
                Format::load_step(weight, low, high);
                each<ROWS>(PORTICO_EACH(r) {
                    const Words word = splat_word(values + r * stride);
                    found[r][0] = add_bytes(found[r][0], low, word);
                    found[r][1] = add_bytes(found[r][1], high, word);
                });
            }
            if (FETCH) ahead.fetch();
            const auto* group_scales = (const typename Format::Scale*)weight;
            const Floats low = load(group_scales), high = load(group_scales + LANES);
            weight += PANEL * sizeof *group_scales;
            each<ROWS>(PORTICO_EACH(r) {
                parts[r][0] += __builtin_convertvector(found[r][0], Floats) * low;
                parts[r][1] += __builtin_convertvector(found[r][1], Floats) * high;
            });
        }
        each<ROWS>(PORTICO_EACH(r) {
            const float scale = scales[r * layout.blocks + block];
            sums[r][0] += parts[r][0] * scale;
            sums[r][1] += parts[r][1] * scale;
        });
    }
    each<ROWS>(PORTICO_EACH(r) { to[r * 2] = sums[r][0], to[r * 2 + 1] = sums[r][1]; });
}

template <class T, class Format>
struct MultiplyQuantized {
    static constexpr int BLOCK_ROWS = Format::BLOCK_ROWS, ALONE_ROWS = Format::ALONE_ROWS;
    const LinearArguments& a;
    const QuantizedRows& x;
    const Layout<Format> layout;

    MultiplyQuantized(const LinearArguments& arguments, const QuantizedRows& rows) : a(arguments), x(rows), layout(arguments) {}
    const char* panel(int64_t number) const { return (const char*)a.packed + number * layout.panel_bytes(); }

    template <int ROWS>
    void block(int64_t panel_number, int64_t row, Ahead ahead) const {
        fetch_outputs<T, ROWS>(a, panel_number, row);
        Floats sums[ROWS * 2];
        const auto* weight = (const uint8_t*)panel(panel_number);
        ahead.lines ? sums_of<Format, ROWS, true>(layout, x, weight, row, ahead, sums)
                    : sums_of<Format, ROWS, false>(layout, x, weight, row, ahead, sums);
        for (int r = 0; r < ROWS; r++)
            for (int half = 0; half < 2; half++)
                store_panel_half<T>(a, panel_number * PANEL + half * LANES, row + r, sums[r * 2 + half]);
    }
};

template <class T, class Format>
void linear_quantized(const LinearArguments& a) {
    const QuantizedRows x = quantize_rows<T, Format>(a, 1);
    over_panels<MultiplyQuantized<T, Format>>(a, {a.rows, LEAST_ROWS, a.rows}, x);
}

}  // namespace portico::PORTICO_ISA
