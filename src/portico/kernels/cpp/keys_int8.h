// Keys and values of eight bits with a scale for each, multiplied as bytes: nothing is widened. The other factor becomes
// whole numbers of 14 bits, a query by its extreme, the shares of a tile by their largest, as two digits of seven bits;
// so sums over a head's dimensions, and over the keys of a tile, are exact.
#pragma once

#include <cmath>

#include "keys.h"

namespace portico::PORTICO_ISA {

constexpr int KEY_DEPTH = 4;    // dimensions of a key, or values, in a word
constexpr int KEY_OFFSET = 128; // added to the bytes of keys: one factor of the instruction is unsigned
constexpr int DIGIT_BITS = 7;
constexpr int MOST_QUERY = 8127, MOST_SHARE = 16383;  // 63 * 128 + 63, and 127 * 128 + 127

// A head's part of a block in bytes: first the scales [block_size], then words.
struct Int8Part {
    int64_t width, scales, size;

    Int8Part(int block_size, int head_dim)
        : width((head_dim + KEY_DEPTH - 1) / KEY_DEPTH * KEY_DEPTH),
          scales(block_size * sizeof(float)),
          size(scales + block_size * width) {}
};

// For each lane: sum + the products of its four bytes, those of `a` unsigned, those of `b` signed. The caller sees to it
// that no two products beside each other sum up to more than 32767.
inline Ints add_digits(Ints sum, Words a, Words b) {
#if defined(__AVX512VNNI__)
    return add_bytes(sum, a, b);
#elif defined(__AVX2__)
    __m256i x[2], y[2], total[2];
    std::memcpy(x, &a, sizeof x);
    std::memcpy(y, &b, sizeof y);
    std::memcpy(total, &sum, sizeof total);
    for (int i = 0; i < 2; i++)
        total[i] = _mm256_add_epi32(total[i], _mm256_madd_epi16(_mm256_maddubs_epi16(x[i], y[i]), _mm256_set1_epi16(1)));
    std::memcpy(&sum, total, sizeof sum);
    return sum;
#else
    return add_bytes(sum, a, b);
#endif
}

// The scale of a key or value x [width]: its extreme becomes 127.
template <class T>
inline float int8_scale(const T* x, int width) {
    Floats most{};
    for (int i = 0; i < width; i += LANES) {
        const Floats value = padded(x + i, width - i, 0.0f);
        most = maximum(maximum(value, -value), most);  // of equals the second: never -0
    }
    return largest(most) / 127.0f;
}

// Divided, and not multiplied by an inverse: so that no fused multiply-add makes the last bit differ from machine to machine.
template <class T>
inline void int8_values(const T* x, int width, float scale, int8_t* out) {
    const float divisor = scale > 0 ? scale : 1.0f;
    for (int i = 0; i < width; i += LANES) {
        const Floats value = padded(x + i, width - i, 0.0f) / divisor;
        const Floats kept = maximum(-maximum(-value, splat(-127.0f)), splat(-127.0f));
        store_raw(out + i, bytes_of(nearest(kept)));
    }
}

template <class T>
struct Int8Keys {
    using Dtype = T;

    struct Tile {
        const uint32_t* keys[COLUMNS];    // [head_dim / 4][16], rows `key_stride` words apart
        const uint32_t* values[COLUMNS];  // [16 / 4][head_dim]
        const float* key_scales[COLUMNS];
        const float* value_scales[COLUMNS];
        int count;
    };

    static Tile find(const AttendArguments& a, const Places& places) {
        const Int8Part part(a.block_size, a.head_dim);
        Tile tile;
        for (int c = 0; c < COLUMNS; c++) {
            const char *keys = (const char*)a.pool + places.part[c] * part.size, *values = keys + a.kv_heads * part.size;
            const int64_t offset = places.offset[c];
            tile.key_scales[c] = (const float*)keys + offset;
            tile.value_scales[c] = (const float*)values + offset;
            tile.keys[c] = (const uint32_t*)(keys + part.scales) + offset;
            tile.values[c] = (const uint32_t*)(values + part.scales) + offset / KEY_DEPTH * a.head_dim;
        }
        tile.count = places.count;
        return tile;
    }

    // A query: what one step of its whole numbers is worth, what the offset of the keys adds to its scores, its digits.
    struct Query {
        float scale;
        int offset;
        int8_t* digits[2];  // [head_dim in words] of 128, and of 1; -64 to 63

        Query(const char* at, int head_dim) {
            std::memcpy(&scale, at, sizeof scale);
            std::memcpy(&offset, at + sizeof scale, sizeof offset);
            digits[0] = (int8_t*)at + 64;
            digits[1] = digits[0] + digit_bytes(head_dim);
        }
    };
    static size_t digit_bytes(int head_dim) { return (head_dim + LANES - 1) / LANES * LANES; }
    static size_t query_bytes(int head_dim) { return 64 + (2 * digit_bytes(head_dim) + 63) / 64 * 64; }

    static void put_query(const T* from, int head_dim, float scale, char* to) {
        Floats most{};
        for (int i = 0; i < head_dim; i += LANES) {
            const Floats value = padded(from + i, head_dim - i, 0.0f);
            most = maximum(most, maximum(value, -value));
        }
        const float extreme = largest(most), inverse = extreme > 1e-30f ? MOST_QUERY / extreme : 0.0f;
        const Query query(to, head_dim);
        Ints total{};
        for (int i = 0; i < head_dim; i += LANES) {
            const Ints value = nearest(padded(from + i, head_dim - i, 0.0f) * inverse);
            const Ints high = (value + (1 << (DIGIT_BITS - 1))) >> DIGIT_BITS;
            store_raw(query.digits[0] + i, bytes_of(high));
            store_raw(query.digits[1] + i, bytes_of(value - (high << DIGIT_BITS)));
            total += value;
        }
        const float worth = extreme / MOST_QUERY * scale;
        const int offset = KEY_OFFSET * (int)sum(total);
        std::memcpy(to, &worth, sizeof worth);
        std::memcpy(to + sizeof worth, &offset, sizeof offset);
    }

    // The weights of a row: what one step of their whole numbers is worth, then their digits, 0 to 127.
    static constexpr size_t WEIGHT_BYTES = 64 + 2 * TILE;

    static void put_weights(const Floats (&shares)[COLUMNS], const Tile& tile, char* to) {
        Floats weights[COLUMNS], most{};
        for (int c = 0; c < COLUMNS; c++) {
            // What hidden keys hold must not matter, whatever it is.
            weights[c] = select(shares[c] > 0.0f, shares[c] * load(tile.value_scales[c]), Floats{});
            most = maximum(most, weights[c]);
        }
        const float extreme = largest(most), inverse = extreme > 1e-30f ? MOST_SHARE / extreme : 0.0f;
        const float worth = extreme / MOST_SHARE;
        std::memcpy(to, &worth, sizeof worth);
        for (int c = 0; c < COLUMNS; c++) {
            const Ints value = nearest(weights[c] * inverse), high = value >> DIGIT_BITS;
            store_raw(to + 64 + c * LANES, bytes_of(high));
            store_raw(to + 64 + TILE + c * LANES, bytes_of(value - (high << DIGIT_BITS)));
        }
    }
    static float worth_of(const char* weights) {
        float worth;
        std::memcpy(&worth, weights, sizeof worth);
        return worth;
    }

    // With few rows both digits are summed up in one pass over the bytes, with more one after the other.
    template <int N, int W>
    static constexpr bool AT_ONCE = 2 * N * W <= ROWS * WIDE;

    // scores[r][c] of N rows against all keys of the tile.
    template <int N, bool FETCH>
    static void scores_of(const char* query, const Tile& tile, const Tile& next, const TileView& view,
                          Floats (&scores)[N][COLUMNS]) {
        constexpr int TOGETHER = AT_ONCE<N, WIDE> ? 2 : 1;
        const size_t row_bytes = query_bytes(view.head_dim);
        const int steps = (view.head_dim + KEY_DEPTH - 1) / KEY_DEPTH;
        for (int part = 0; part < COLUMNS; part += WIDE) {
            Ints sums[TOGETHER][N][WIDE] = {};
            for (int digit = 0; digit < 2; digit += TOGETHER) {
                for (int d = 0; d < steps; d++) {
                    Words key[WIDE];
                    for (int c = 0; c < WIDE; c++)
                        key[c] = load_raw<Words>(tile.keys[part + c] + (int64_t)d * view.key_stride);
                    if constexpr (FETCH)
                        if (digit == 0)
                            for (int c = 0; c < WIDE; c++)
                                __builtin_prefetch(next.keys[part + c] + (int64_t)d * view.key_stride);
                    for (int r = 0; r < N; r++)
                        for (int t = 0; t < TOGETHER; t++) {
                            const int8_t* digits = (const int8_t*)query + r * row_bytes + 64;
                            const Words q = splat_word(digits + (digit + t) * digit_bytes(view.head_dim) + d * KEY_DEPTH);
                            for (int c = 0; c < WIDE; c++) sums[t][r][c] = add_digits(sums[t][r][c], key[c], q);
                        }
                }
                if (TOGETHER == 1 && digit == 0)
                    for (int r = 0; r < N; r++)
                        for (int c = 0; c < WIDE; c++) sums[0][r][c] <<= DIGIT_BITS;
            }
            if constexpr (FETCH)
                for (int c = 0; c < WIDE; c++) {
                    __builtin_prefetch(next.key_scales[part + c]);
                    __builtin_prefetch(next.value_scales[part + c]);
                }
            for (int r = 0; r < N; r++) {
                const Query row(query + r * row_bytes, view.head_dim);
                for (int c = 0; c < WIDE; c++) {
                    const Ints total = TOGETHER == 1 ? sums[0][r][c] : (sums[0][r][c] << DIGIT_BITS) + sums[TOGETHER - 1][r][c];
                    const Floats exact = __builtin_convertvector(total - row.offset, Floats);
                    scores[r][part + c] = exact * (row.scale * load(tile.key_scales[part + c]));
                }
            }
        }
    }

    // Add the weighted values of the tile to W vectors of N rows out [N][padded], first multiplied by their factors, from
    // dimension d on; with TAIL the last vector is not whole. Keys past the last have digits of 0.
    template <int N, int W, bool FETCH, bool TAIL>
    static void accumulate(const char* weights, const Tile& tile, const Tile& next, const TileView& view,
                           const float (&factor)[N], float* out, int d) {
        constexpr int STEP = LANES / KEY_DEPTH, TOGETHER = AT_ONCE<N, W> ? 2 : 1;
        Ints sums[TOGETHER][N][W] = {};
        for (int digit = 0; digit < 2; digit += TOGETHER) {
            for (int group = 0; group * LANES < tile.count; group++)
                for (int step = 0; step < STEP; step++) {
                    const int64_t at = (int64_t)step * view.head_dim + d;
                    Words value[W];
                    for (int c = 0; c < W; c++)
                        value[c] = value_words<TAIL>(tile.values[group] + at + c * LANES, view.head_dim - d - c * LANES);
                    if constexpr (FETCH)
                        if (digit == 0)
                            for (int c = 0; c < W; c++) __builtin_prefetch(next.values[group] + at + c * LANES);
                    for (int r = 0; r < N; r++)
                        for (int t = 0; t < TOGETHER; t++) {
                            const char* digits = weights + r * WEIGHT_BYTES + 64 + (digit + t) * TILE;
                            const Words p = splat_word(digits + group * LANES + step * KEY_DEPTH);
                            for (int c = 0; c < W; c++) sums[t][r][c] = add_digits(sums[t][r][c], p, value[c]);
                        }
                }
            if (TOGETHER == 1 && digit == 0)
                for (int r = 0; r < N; r++)
                    for (int c = 0; c < W; c++) sums[0][r][c] <<= DIGIT_BITS;
        }
        for (int r = 0; r < N; r++)
            for (int c = 0; c < W; c++) {
                const Ints total = TOGETHER == 1 ? sums[0][r][c] : (sums[0][r][c] << DIGIT_BITS) + sums[TOGETHER - 1][r][c];
                float* to = out + (size_t)r * view.padded + d + c * LANES;
                const Floats added = __builtin_convertvector(total, Floats) * worth_of(weights + r * WEIGHT_BYTES);
                store(to, load(to) * factor[r] + added);
            }
    }
};

}  // namespace portico::PORTICO_ISA
