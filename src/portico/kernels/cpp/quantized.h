// Products with weights of eight or four bits. Activations become signed bytes, a scale for each GROUP inputs of a row.
//
// Weights lie in panels of 32 output channels, and in a panel group after group: what follows the weights of a group are
// its channels' scales. Sums within a group are integers and exact; each output adds its groups in floats from first to
// last, so its bits do not depend on how many rows there are.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "panels.h"

namespace portico::PORTICO_ISA {

// To the nearest integer, halves to the even one; for values of less than 2^22.
inline Ints nearest(Floats value) {
    const Floats magic = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds
    return (Ints)(value + magic) - (Ints)magic;
}

inline Ints nearest_within(Floats value, float least, float most) {
    return nearest(maximum(-maximum(-value, splat(-most)), splat(least)));
}

// Eight bits: the extreme of a channel's group becomes 127. Bytes are stored plus 128, for one factor of the instruction
// is unsigned.
struct Eight {
    using Scale = float;
    static constexpr int GROUP = 128;
    static constexpr int BYTES_PER_STEP = 2 * sizeof(Words);  // a step is 4 inputs of 32 channels
    static constexpr int OFFSET = 128;

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
    static constexpr int BYTES_PER_STEP = sizeof(Words);
    static constexpr int OFFSET = 8;

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
    int64_t groups;

    explicit Layout(const LinearArguments& a) : groups((a.inputs + Format::GROUP - 1) / Format::GROUP) {}
    int64_t panel_bytes() const { return groups * GROUP_BYTES; }
};

template <class T, class Format>
void pack_quantized(const LinearArguments& a) {
    const Layout<Format> layout(a);
#pragma omp parallel for schedule(dynamic, 1)
    for (int64_t panel = 0; panel < panels_of(a); panel++) {
        uint8_t* group = (uint8_t*)a.packed + panel * layout.panel_bytes();
        for (int64_t begin = 0; begin < a.inputs; begin += Format::GROUP, group += layout.GROUP_BYTES) {
            std::memset(group, 0, layout.GROUP_BYTES);
            auto* scales = (typename Format::Scale*)(group + layout.WEIGHT_BYTES);
            for (int channel = 0; channel < std::min<int64_t>(PANEL, a.outputs - panel * PANEL); channel++) {
                const T* weights = (const T*)a.weight + (panel * PANEL + channel) * a.inputs + begin;
                const int count = (int)std::min<int64_t>(Format::GROUP, a.inputs - begin);
                Floats values[Format::GROUP / LANES];
                for (int i = 0; i < Format::GROUP; i += LANES) values[i / LANES] = padded(weights + i, count - i, 0.0f);
                const float scale = Format::scale_of(values), inverse = scale != 0 ? 1 / scale : 0;
                store_outputs(scales + channel, splat(scale), 1);
                for (int i = 0; i < Format::GROUP; i += LANES) {
                    const Ints found = Format::quantize(values[i / LANES], inverse);
                    for (int lane = 0; lane < LANES; lane++) Format::put(group, channel, i + lane, found[lane]);
                }
            }
        }
    }
}

// Rows as signed bytes in groups; what is past the last input is zero.
struct QuantizedRows {
    int64_t groups;
    int8_t* values;   // [rows][groups][GROUP]
    float* scales;    // [rows][groups]
    float* excess;    // [rows][groups]: what the offset of the weights adds to a sum

    static size_t bytes(int64_t rows, int64_t groups, int group) { return rows * groups * (group + 2 * sizeof(float)); }
};

template <class T, class Format>
inline void quantize_row(const LinearArguments& a, const QuantizedRows& to, int64_t row) {
    const T* x = (const T*)a.x + row * a.x_stride;
    for (int64_t group = 0; group < to.groups; group++) {
        const int64_t begin = group * Format::GROUP;
        const int count = (int)std::min<int64_t>(Format::GROUP, a.inputs - begin);
        Floats most{};
        for (int i = 0; i < count; i += LANES) {
            const Floats value = padded(x + begin + i, count - i, 0.0f);
            most = maximum(most, maximum(value, -value));
        }
        const float scale = largest(most) / 127, inverse = scale > 0 ? 1 / scale : 0;
        int8_t* values = to.values + (row * to.groups + group) * Format::GROUP;
        Ints total{};
        for (int i = 0; i < Format::GROUP; i += LANES) {
            const Ints found = nearest(padded(x + begin + i, count - i, 0.0f) * inverse);
            store_raw(values + i, __builtin_convertvector(found, Bytes));
            total += found;
        }
        int sum = 0;
        for (int lane = 0; lane < LANES; lane++) sum += total[lane];
        to.scales[row * to.groups + group] = scale;
        to.excess[row * to.groups + group] = (float)(Format::OFFSET * sum);
    }
}

template <class T, class Format>
struct MultiplyQuantized {
    const LinearArguments& a;
    const QuantizedRows& x;
    const Layout<Format> layout;

    MultiplyQuantized(const LinearArguments& arguments, const QuantizedRows& rows) : a(arguments), x(rows), layout(arguments) {}
    const char* panel(int64_t number) const { return (const char*)a.packed + number * layout.panel_bytes(); }

    template <int ROWS>
    void block(int64_t panel, int64_t row, Ahead ahead) const {
        const uint8_t* weight = (const uint8_t*)a.packed + panel * layout.panel_bytes();
        const int64_t row_bytes = layout.groups * Format::GROUP;
        const int8_t* values = x.values + row * row_bytes;
        const float *scales = x.scales + row * layout.groups, *excess = x.excess + row * layout.groups;
        Floats sums[ROWS][2] = {};
        for (int64_t group = 0; group < layout.groups; group++) {
            Ints found[ROWS][2] = {};
            for (int step = 0; step < layout.STEPS; step++, weight += Format::BYTES_PER_STEP) {
                if (step % (2 * 64 / Format::BYTES_PER_STEP) == 0) ahead.fetch();
                Words low, high;
                Format::load_step(weight, low, high);
                for (int r = 0; r < ROWS; r++) {
                    const Words word = splat_word(values + r * row_bytes + group * Format::GROUP + step * 4);
                    found[r][0] = add_bytes(found[r][0], low, word);
                    found[r][1] = add_bytes(found[r][1], high, word);
                }
            }
            ahead.fetch();
            const auto* channel_scales = (const typename Format::Scale*)weight;
            const Floats low = load(channel_scales), high = load(channel_scales + LANES);
            weight += PANEL * sizeof(typename Format::Scale);
            for (int r = 0; r < ROWS; r++) {
                const float scale = scales[r * layout.groups + group], more = excess[r * layout.groups + group];
                sums[r][0] += (__builtin_convertvector(found[r][0], Floats) - more) * (low * scale);
                sums[r][1] += (__builtin_convertvector(found[r][1], Floats) - more) * (high * scale);
            }
        }
        for (int r = 0; r < ROWS; r++)
            for (int half = 0; half < 2; half++)
                store_panel_half<T>(a, panel * PANEL + half * LANES, row + r, sums[r][half]);
    }
};

template <class T, class Format>
void linear_quantized(const LinearArguments& a) {
    const int64_t groups = Layout<Format>(a).groups;
    static thread_local std::vector<char> memory;  // of the calling thread; grown and never shrunk
    memory.resize(std::max(memory.size(), QuantizedRows::bytes(a.rows, groups, Format::GROUP)));
    float* floats = (float*)memory.data();
    const QuantizedRows x = {groups, (int8_t*)(floats + 2 * a.rows * groups), floats, floats + a.rows * groups};
#pragma omp parallel for schedule(static) if (a.threads > 1 && a.rows > 4)
    for (int64_t row = 0; row < a.rows; row++) quantize_row<T, Format>(a, x, row);
    over_panels(a, MultiplyQuantized<T, Format>(a, x));
}

}  // namespace portico::PORTICO_ISA
