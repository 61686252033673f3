// The operations between the matrix products. Every row is computed alone, its sums in a fixed order.
#pragma once

#include <algorithm>

#include "arguments.h"
#include "keys_int8.h"
#include "team.h"

namespace portico::PORTICO_ISA {

// 1 / sqrt(mean of squares + eps) of x [width].
template <class T>
inline float inverse_root(const T* x, int width, float eps) {
    Floats squares{};
    int i = 0;
    for (; i + LANES <= width; i += LANES) {
        Floats value = load(x + i);
        squares += value * value;
    }
    float total = sum(squares);
    for (; i < width; i++) total += widen(x[i]) * widen(x[i]);
    return 1.0f / std::sqrt(total / width + eps);
}

template <class T>
inline void store_one(T* to, float value) {
    T lanes[LANES];
    store(lanes, splat(value));
    *to = lanes[0];
}

// Zhang and Sennrich 2019, arXiv:1910.07467. Rounds before the weight, as transformers does.
template <class T>
inline void rms_norm_row(const T* x, const T* weight, T* out, int width, float eps) {
    const float factor = inverse_root(x, width, eps);
    int i = 0;
    for (; i + LANES <= width; i += LANES) store(out + i, rounded<T>(load(x + i) * factor) * load(weight + i));
    for (; i < width; i++) store_one(out + i, rounded<T>(splat(widen(x[i]) * factor))[0] * widen(weight[i]));
}

template <class T>
inline void add_row(T* x, const T* added, int width) {
    int i = 0;
    for (; i + LANES <= width; i += LANES) store(x + i, load(x + i) + load(added + i));
    for (; i < width; i++) store_one(x + i, widen(x[i]) + widen(added[i]));
}

template <class T>
void rms_norm(const RmsNormArguments& a) {
    share_out(a.rows, rows_worth_sharing(a.width), [&](int64_t row) {
        T* x = (T*)a.x + row * a.width;
        if (a.added) add_row(x, (const T*)a.added + row * a.width, a.width);
        rms_norm_row(x, (const T*)a.weight, (T*)a.out + row * a.width, a.width, a.eps);
    });
}

inline Floats silu(Floats x) {
    const Floats e = exponential(-maximum(x, -x));  // so that it never overflows
    return x * select(x > 0.0f, splat(1.0f), e) / (1.0f + e);
}

// Shazeer 2020, arXiv:2002.05202.
template <class T>
void silu_mul(const SiluMulArguments& a) {
    share_out(a.rows, rows_worth_sharing(2 * a.width), [&](int64_t row) {
        const T *gate = (const T*)a.gate_up + row * 2 * a.width, *up = gate + a.width;
        T* out = (T*)a.out + row * a.width;
        int i = 0;
        for (; i + LANES <= a.width; i += LANES) store(out + i, rounded<T>(silu(load(gate + i))) * load(up + i));
        for (; i < a.width; i++) store_one(out + i, rounded<T>(silu(splat(widen(gate[i]))))[0] * widen(up[i]));
    });
}

// Turn each pair (x[i], x[i + half]) by its angle (Su et al. 2021, arXiv:2104.09864).
template <class T>
inline void rotate(T* x, const T* cos, const T* sin, int width) {
    const int half = width / 2;
    int i = 0;
    for (; i + LANES <= half; i += LANES) {
        Floats low = load(x + i), high = load(x + half + i);
        store(x + i, low * load(cos + i) + high * load(sin + i));
        store(x + half + i, high * load(cos + half + i) + low * load(sin + half + i));
    }
    for (; i < half; i++) {
        float low = widen(x[i]), high = widen(x[half + i]);
        store_one(x + i, low * widen(cos[i]) + high * widen(sin[i]));
        store_one(x + half + i, high * widen(cos[half + i]) + low * widen(sin[half + i]));
    }
}

// Both of so many heads [width] side by side, without writing down what is between; `weight`: of each, or null.
template <class T>
inline void norm_and_rotate(T* x, const T* weight, int heads, const T* cos, const T* sin, int width, float eps) {
    constexpr int TOGETHER = 8;  // heads whose roots do not wait for each other
    const int half = width / 2;
    for (int begin = 0; begin < heads; begin += TOGETHER) {
        const int end = std::min(heads, begin + TOGETHER);
        float factors[TOGETHER];
        if (weight)
            for (int head = begin; head < end; head++) factors[head - begin] = inverse_root(x + (int64_t)head * width, width, eps);
        for (int head = begin; head < end; head++) {
            T* values = x + (int64_t)head * width;
            const T* weights = weight + (int64_t)head * width;
            const float factor = factors[head - begin];
            if (half % LANES) {
                if (weight) rms_norm_row(values, weights, values, width, eps);
                rotate(values, cos, sin, width);
                continue;
            }
            for (int i = 0; i < half; i += LANES) {
                Floats low = load(values + i), high = load(values + half + i);
                if (weight) {
                    low = rounded<T>(rounded<T>(low * factor) * load(weights + i));
                    high = rounded<T>(rounded<T>(high * factor) * load(weights + half + i));
                }
                store(values + i, low * load(cos + i) + high * load(sin + i));
                store(values + half + i, high * load(cos + half + i) + low * load(sin + half + i));
            }
        }
    }
}

// Store a key and a value x [width] of one head as they are, DEPTH dimensions of a key, or values, beside each other.
template <class T, int DEPTH>
struct StorePlain {
    static void put(const PrepareArguments& a, int64_t part, int64_t offset, const T* key, const T* value) {
        const int64_t size = (int64_t)a.block_size * a.head_dim;
        T* keys = (T*)a.pool + part * size + offset * DEPTH;
        T* values = (T*)a.pool + (part + a.kv_heads) * size + offset / DEPTH * DEPTH * a.head_dim + offset % DEPTH;
        for (int d = 0; d < a.head_dim; d += DEPTH) std::memcpy(keys + (int64_t)d * a.block_size, key + d, DEPTH * sizeof(T));
        int d = 0;
#if defined(__AVX512BW__)
        // Half a word each; the other half may be another thread's at this moment.
        if constexpr (DEPTH == 2)
            for (; d + LANES <= a.head_dim; d += LANES) {
                const auto words = (__m512i)words_of_halves(load_raw<Halves>(value + d));
                _mm512_mask_storeu_epi16(values + d * DEPTH, 0x55555555, words);
            }
#endif
        for (; d < a.head_dim; d++) values[d * DEPTH] = value[d];
    }
};

// The same in eight bits, with a scale each.
template <class T>
struct StoreInt8 {
    static constexpr int STEP = 16 * KEY_DEPTH;  // dimensions

    static void put(const PrepareArguments& a, int64_t part, int64_t offset, const T* key, const T* value) {
        const Int8Part layout(a.block_size, a.head_dim);
        char *keys = (char*)a.pool + part * layout.size, *values = keys + a.kv_heads * layout.size;
        const float key_scale = int8_scale(key, a.head_dim), value_scale = int8_scale(value, a.head_dim);
        ((float*)keys)[offset] = key_scale;
        ((float*)values)[offset] = value_scale;
        char* key_words = keys + layout.scales + offset * KEY_DEPTH;
        char* value_bytes = values + layout.scales + offset / KEY_DEPTH * KEY_DEPTH * a.head_dim + offset % KEY_DEPTH;
        for (int begin = 0; begin < a.head_dim; begin += STEP) {
            const int count = std::min(STEP, a.head_dim - begin);
            int8_t bytes[STEP] = {};
            int8_values(key + begin, count, key_scale, bytes);
            for (int8_t& byte : bytes) byte = (int8_t)(byte + KEY_OFFSET);
            for (int d = 0; d < count; d += KEY_DEPTH)
                std::memcpy(key_words + (int64_t)(begin + d) * a.block_size, bytes + d, KEY_DEPTH);
            int8_values(value + begin, count, value_scale, bytes);
            for (int d = 0; d < count; d++) value_bytes[(begin + d) * KEY_DEPTH] = bytes[d];
        }
    }
};

// Tokens taken together: their keys lie in few blocks, a word of each in every line.
constexpr int64_t TOKENS_TOGETHER = 16;

template <class T, class Store>
void prepare(const PrepareArguments& a) {
    const int turned = a.heads + a.kv_heads, all = a.heads + 2 * a.kv_heads, width = a.head_dim;
    const bool many = a.tokens >= 4 * TOKENS_TOGETHER * team_size();
    const int64_t together = many ? TOKENS_TOGETHER : rows_worth_sharing((int64_t)all * width);
    share_out((a.tokens + together - 1) / together, 1, [&](int64_t group) {
        const int64_t first = group * together, end = std::min<int64_t>(a.tokens, first + together);
        for (int64_t token = first; token < end; token++)
            norm_and_rotate((T*)a.qkv + token * all * width, (const T*)a.weight, turned, (const T*)a.cos + token * width,
                            (const T*)a.sin + token * width, width, a.eps);
        for (int head = 0; head < a.kv_heads; head++)
            for (int64_t token = first; token < end; token++) {
                const int64_t block = a.slots[token] / a.block_size, offset = a.slots[token] % a.block_size;
                const T *key = (const T*)a.qkv + (token * all + a.heads + head) * width, *value = key + (int64_t)a.kv_heads * width;
                Store::put(a, block * 2 * a.kv_heads + head, offset, key, value);
            }
    });
}

}  // namespace portico::PORTICO_ISA
