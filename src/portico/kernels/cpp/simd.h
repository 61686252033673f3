// Sixteen floats at a time: loads and stores in both formats, exp, and the multiply-adds of the two dot products.
// Everything is in the namespace of the instruction set that this object is compiled for.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace portico::PORTICO_ISA {

constexpr int LANES = 16;
typedef float Floats __attribute__((vector_size(64)));
typedef int32_t Ints __attribute__((vector_size(64)));
typedef uint32_t Words __attribute__((vector_size(64)));
typedef uint16_t Halves __attribute__((vector_size(32)));
typedef int8_t Bytes __attribute__((vector_size(16)));

struct Bf16 {
    uint16_t bits;
};

// Call `f` with 0 to N - 1, as constants from the beginning: arrays of vectors that they index stay in registers, where
// GCC writes those of a loop that it unrolls later to memory at every step.
template <int N, class F>
[[gnu::always_inline]] inline void each(F f) {
    [&]<int... I>(std::integer_sequence<int, I...>) __attribute__((always_inline)) {
        (f.template operator()<I>(), ...);
    }(std::make_integer_sequence<int, N>());
}
#define PORTICO_EACH(i) [&]<int i>() __attribute__((always_inline))

inline Floats splat(float value) { return value - Floats{}; }

template <class V>
inline V load_raw(const void* from) {
    V value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

template <class V>
inline void store_raw(void* to, V value) {
    std::memcpy(to, &value, sizeof value);
}

inline Floats load(const float* from) { return load_raw<Floats>(from); }

inline Floats load(const Bf16* from) {
    return (Floats)(__builtin_convertvector(load_raw<Halves>(from), Words) << 16);
}

inline void store(float* to, Floats value) { store_raw(to, value); }

inline Halves to_bf16(Floats value) {
#if defined(__AVX512BF16__)
    return (Halves)_mm512_cvtneps_pbh((__m512)value);
#else
    Words bits = (Words)value;  // round to nearest even; NaN is not expected here
    return __builtin_convertvector((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16, Halves);
#endif
}

inline void store(Bf16* to, Floats value) { store_raw(to, to_bf16(value)); }

inline float widen(float value) { return value; }

inline float widen(Bf16 value) {
    uint32_t bits = uint32_t(value.bits) << 16;
    float wide;
    std::memcpy(&wide, &bits, sizeof wide);
    return wide;
}

// What storing as T and loading again would give.
template <class T>
inline Floats rounded(Floats value) {
    if constexpr (sizeof(T) == 4) return value;
    return (Floats)(__builtin_convertvector(to_bf16(value), Words) << 16);
}

// Up to 16 values; lanes past `count` are `filler`.
template <class T>
inline Floats padded(const T* x, int count, float filler) {
    if (count >= LANES) return load(x);
    Floats value = splat(filler);
    for (int i = 0; i < count; i++) value[i] = widen(x[i]);
    return value;
}

// Store up to 16 values.
template <class T>
inline void store_first(T* to, Floats value, int count) {
    if (count >= LANES) return store(to, value);
    T whole[LANES];
    store(whole, value);
    std::copy_n(whole, std::max(count, 0), to);
}

inline Floats select(Ints where, Floats yes, Floats no) { return where ? yes : no; }

inline Floats maximum(Floats a, Floats b) { return select(a > b, a, b); }

// To the nearest integer, halves to the even one; for values of less than 2^22.
inline Ints nearest(Floats value) {
    const Floats magic = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds
    return (Ints)(value + magic) - (Ints)magic;
}

// Write those of 16 values that are at least `least`, and their numbers from `first` on; returns how many they are.
inline int keep_from(Floats value, float least, int first, float* values, int* numbers) {
#if defined(__AVX512F__)
    const __mmask16 kept = _mm512_cmp_ps_mask((__m512)value, _mm512_set1_ps(least), _CMP_GE_OQ);
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    _mm512_storeu_ps(values, _mm512_maskz_compress_ps(kept, (__m512)value));
    _mm512_storeu_si512(numbers, _mm512_maskz_compress_epi32(kept, _mm512_add_epi32(lanes, _mm512_set1_epi32(first))));
    return __builtin_popcount(kept);
#else
    int count = 0;
    for (int lane = 0; lane < LANES; lane++) {
        values[count] = value[lane];
        numbers[count] = first + lane;
        count += value[lane] >= least;
    }
    return count;
#endif
}

#if defined(__AVX512F__)
template <int STEP, class V>
inline V swapped(V value) {
    const Ints lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return __builtin_shuffle(value, lanes ^ STEP);
}

template <class V>
inline auto sum(V value) {
    value += swapped<8>(value);
    value += swapped<4>(value);
    value += swapped<2>(value);
    return value[0] + value[1];
}

inline float largest(Floats value) {
    value = maximum(value, swapped<8>(value));
    value = maximum(value, swapped<4>(value));
    value = maximum(value, swapped<2>(value));
    return maximum(value, swapped<1>(value))[0];
}
#else
template <class V>
inline auto sum(V value) {
    for (int width = LANES / 2; width; width /= 2)
        for (int i = 0; i < width; i++) value[i] += value[i + width];
    return value[0];
}

inline float largest(Floats value) {
    for (int width = LANES / 2; width; width /= 2)
        for (int i = 0; i < width; i++) value[i] = value[i] > value[i + width] ? value[i] : value[i + width];
    return value[0];
}
#endif

// e^x for x <= 0, and 0 below -87: reduced by ln 2 in two parts (Cody and Waite 1980), then a polynomial.
inline Floats exponential(Floats x) {
    const Floats magic = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
    Floats clamped = maximum(x, splat(-87.0f));
    Floats whole = clamped * 1.44269504f + magic;
    Ints exponent = (Ints)whole - (Ints)magic;
    whole -= magic;
    Floats rest = clamped - whole * 0.693145752f - whole * 1.42860677e-6f;
    Floats p = splat(1.98756911e-4f);
    p = p * rest + 1.39819994e-3f;
    p = p * rest + 8.33345205e-3f;
    p = p * rest + 4.16657962e-2f;
    p = p * rest + 1.66666657e-1f;
    p = p * rest + 0.5f;
    p = p * (rest * rest) + rest + 1.0f;
    Floats result = (Floats)((Ints)p + (exponent << 23));
    return select(x < -87.0f, splat(0.0f), result);
}

// One step of a dot product, DEPTH elements of it in each 32-bit lane: sum + a * b.
struct MulFloat {
    using Element = float;
    static constexpr int DEPTH = 1;
    static Floats add(Floats sum, Words a, Words b) { return sum + (Floats)a * (Floats)b; }
};

struct MulBf16 {
    using Element = Bf16;
    static constexpr int DEPTH = 2;
    static Floats add(Floats sum, Words a, Words b) {
#if defined(__AVX512BF16__)
        return (Floats)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
#else
        sum += (Floats)(a << 16) * (Floats)(b << 16);
        return sum + (Floats)(a & 0xffff0000u) * (Floats)(b & 0xffff0000u);
#endif
    }
};

// For each 32-bit lane: sum + the products of its four bytes, those of a unsigned, those of b signed.
inline Ints add_bytes(Ints sum, Words a, Words b) {
#if defined(__AVX512VNNI__)
    return (Ints)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
#else
    for (int shift = 0; shift < 32; shift += 8) sum += (Ints)((a >> shift) & 255u) * ((Ints)(b << (24 - shift)) >> 24);
    return sum;
#endif
}

inline Words splat_word(const void* from) {
    uint32_t word;
    std::memcpy(&word, from, sizeof word);
    return word - Words{};
}

}  // namespace portico::PORTICO_ISA
