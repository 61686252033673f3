// Sixteen floats at a time: loads and stores in both formats, exp, and the multiply-adds of the two dot products.
// Everything is in the namespace of the instruction set that this object is compiled for.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
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

#if defined(__AVX512F__)
constexpr __mmask16 ALL = 0xffff;  // lanes; GCC 12 warns of functions without a mask
#endif

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

// Each half word in a word, and the low byte of each; in one instruction, which GCC does not make of a conversion.
inline Words words_of_halves(Halves value) {
#if defined(__AVX512F__)
    return (Words)_mm512_maskz_cvtepu16_epi32(ALL, (__m256i)value);
#else
    return __builtin_convertvector(value, Words);
#endif
}

inline Bytes bytes_of(Ints value) {
#if defined(__AVX512F__)
    return (Bytes)_mm512_maskz_cvtepi32_epi8(ALL, (__m512i)value);
#else
    return __builtin_convertvector(value, Bytes);
#endif
}

inline Floats load(const Bf16* from) { return (Floats)(words_of_halves(load_raw<Halves>(from)) << 16); }

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

// Two at once.
inline void store_two(float* to, Floats first, Floats second) {
    store(to, first);
    store(to + LANES, second);
}

inline void store_two(Bf16* to, Floats first, Floats second) {
#if defined(__AVX512BF16__)
    store_raw(to, (Words)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first));
#else
    store(to, first);
    store(to + LANES, second);
#endif
}

inline float widen(float value) { return value; }

inline float widen(Bf16 value) {
    uint32_t bits = uint32_t(value.bits) << 16;
    float wide;
    std::memcpy(&wide, &bits, sizeof wide);
    return wide;
}

// Exchange, in all pairs of lines that are D apart, the words off the diagonal.
template <int D, int... LANE>
inline void transpose_pairs(Words (&lines)[LANES], std::integer_sequence<int, LANE...>) {
    each<LANES / 2>([&]<int pair>() __attribute__((always_inline)) {
        constexpr int i = pair / D * 2 * D + pair % D;
        const Words above = lines[i], below = lines[i + D];
        lines[i] = __builtin_shufflevector(above, below, (LANE & D ? LANES + LANE - D : LANE)...);
        lines[i + D] = __builtin_shufflevector(above, below, (LANE & D ? LANES + LANE : LANE + D)...);
    });
}

// Sixteen lines of sixteen words: the columns become lines.
inline void transpose(Words (&lines)[LANES]) {
    constexpr auto ALL_LANES = std::make_integer_sequence<int, LANES>();
    transpose_pairs<1>(lines, ALL_LANES);
    transpose_pairs<2>(lines, ALL_LANES);
    transpose_pairs<4>(lines, ALL_LANES);
    transpose_pairs<8>(lines, ALL_LANES);
}

// Whether all numbers seen are finite: without their sign and taken for whole numbers, infinity and NaN are above all others.
template <class T>
class Finite {
    using Bits = std::conditional_t<sizeof(T) == 2, uint16_t, uint32_t>;
    typedef Bits Line __attribute__((vector_size(64)));
    static constexpr Bits MAGNITUDE = sizeof(T) == 2 ? 0x7fff : 0x7fffffff, INFINITE = sizeof(T) == 2 ? 0x7f80 : 0x7f800000;
    Line most{};

  public:
    void see(Words line) {
        const Line bits = (Line)line & MAGNITUDE;
        most = bits > most ? bits : most;
    }
    bool all() const {
        for (size_t lane = 0; lane < sizeof most / sizeof(Bits); lane++)
            if (most[lane] >= INFINITE) return false;
        return true;
    }
};

// What storing as T and loading again would give.
template <class T>
inline Floats rounded(Floats value) {
    if constexpr (sizeof(T) == 4) return value;
    return (Floats)(words_of_halves(to_bf16(value)) << 16);
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

// Of equals, and where one is not a number, the second.
inline Floats maximum(Floats a, Floats b) {
#if defined(__AVX512F__)
    return (Floats)_mm512_maskz_max_ps(ALL, (__m512)a, (__m512)b);
#else
    return select(a > b, a, b);
#endif
}

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

// In every lane.
inline Floats largest_of(Floats value) {
    value = maximum(value, swapped<8>(value));
    value = maximum(value, swapped<4>(value));
    value = maximum(value, swapped<2>(value));
    return maximum(value, swapped<1>(value));
}

inline float largest(Floats value) { return largest_of(value)[0]; }
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

inline Floats largest_of(Floats value) { return splat(largest(value)); }
#endif

#if defined(__AVX512F__)
inline Floats to_whole(Floats value) {
    return (Floats)_mm512_maskz_roundscale_ps(ALL, (__m512)value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
#endif

// 2^x for x <= 0, not -inf, and 0 where that is too small: a polynomial of what is left of x without its whole part, its
// coefficients for the least relative error, 1e-7.
inline Floats power_of_two(Floats x) {
#if defined(__AVX512F__)
    const Floats whole = to_whole(x);
    const Floats rest = x - whole;
#else
    const Floats magic = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
    const Floats clamped = maximum(x, splat(-127.0f));
    const Floats whole = clamped + magic, rest = clamped - (whole - magic);
#endif
    Floats p = splat(1.32647273e-3f);
    p = p * rest + 9.67151299e-3f;
    p = p * rest + 5.55073358e-2f;
    p = p * rest + 2.40222424e-1f;
    p = p * rest + 6.93147004e-1f;
    p = p * rest + 1.0f;
#if defined(__AVX512F__)
    return (Floats)_mm512_maskz_scalef_ps(ALL, (__m512)p, (__m512)whole);
#else
    return select(x < -126.0f, splat(0.0f), (Floats)((Ints)p + (((Ints)whole - (Ints)magic) << 23)));
#endif
}

// e^x for x <= 0, and 0 below -87: reduced by ln 2 in two parts (Cody and Waite 1980), then a polynomial.
inline Floats exponential(Floats x) {
    const Floats clamped = maximum(x, splat(-88.0f));
#if defined(__AVX512F__)
    const Floats whole = to_whole(clamped * 1.44269504f);
#else
    const Floats magic = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
    const Floats rounded = clamped * 1.44269504f + magic, whole = rounded - magic;
#endif
    const Floats rest = clamped - whole * 0.693145752f - whole * 1.42860677e-6f;
    Floats p = splat(1.98756911e-4f);
    p = p * rest + 1.39819994e-3f;
    p = p * rest + 8.33345205e-3f;
    p = p * rest + 4.16657962e-2f;
    p = p * rest + 1.66666657e-1f;
    p = p * rest + 0.5f;
    p = p * (rest * rest) + rest + 1.0f;
#if defined(__AVX512F__)
    const auto kept = _mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(-87.0f), _CMP_NLT_UQ);
    return (Floats)_mm512_maskz_scalef_ps(kept, (__m512)p, (__m512)whole);
#else
    return select(x < -87.0f, splat(0.0f), (Floats)((Ints)p + (((Ints)rounded - (Ints)magic) << 23)));
#endif
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
