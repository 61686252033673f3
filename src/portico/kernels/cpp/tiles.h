// Matrix tiles: eight registers of up to 16 rows of 64 bytes, as Intel AMX has them (Software Developer's Manual, volume 1,
// chapter 18), or the same held in memory with PORTICO_EMULATED_TILES, for machines and tests without them.
//
// A product adds A x B to C: a row of A is words of inputs, a row of B the same word of 16 channels, a row of C 16 sums.
// A word is two bfloat16 or four bytes. No row of C depends on another row of A.
#pragma once

#include <cstdint>
#include <cstring>

#include "simd.h"

namespace portico::PORTICO_ISA {

constexpr int TILE_ROWS = 16;
constexpr int TILE_BYTES = 64;  // of a row

// What the registers are for: four of C, two of A, two of B.
constexpr int SUMS = 0, INPUTS = 4, WEIGHTS = 6, TILES = 8;

// What LDTILECFG reads: the shape of each register.
struct alignas(64) TileShapes {
    uint8_t palette = 1;
    uint8_t start_row = 0;
    uint8_t reserved[14] = {};
    uint16_t bytes[16] = {};  // of a row
    uint8_t rows[16] = {};

    // C and A of `sum_rows` rows, A and B of `depth` bytes of inputs.
    TileShapes(int sum_rows, int depth) {
        for (int tile = 0; tile < TILES; tile++) {
            const bool is_a = tile >= INPUTS && tile < WEIGHTS, is_b = tile >= WEIGHTS;
            bytes[tile] = (uint16_t)(is_a ? depth : TILE_BYTES);
            rows[tile] = (uint8_t)(is_b ? depth / 4 : sum_rows);
        }
    }
};
static_assert(sizeof(TileShapes) == 64);

// The registers of the calling thread, for as long as this lives; there is one at a time.
#if !defined(PORTICO_EMULATED_TILES)
class Tiles {
  public:
    Tiles(int sum_rows, int depth) {
        const TileShapes shapes(sum_rows, depth);
        asm volatile("ldtilecfg %0" ::"m"(shapes) : "memory");
    }
    ~Tiles() { asm volatile("tilerelease"); }
    Tiles(const Tiles&) = delete;

    // GCC's own macro for a load does not say that it reads memory: the stores before it could be dropped.
    template <int TILE>
    void load(const void* from, int64_t stride) {
        asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(TILE) : "memory");
    }
    template <int TILE>
    void store(void* to, int64_t stride) {
        asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(TILE) : "memory");
    }
    template <int TILE>
    void zero() {
        asm volatile("tilezero %%tmm%c0" ::"i"(TILE));
    }
    template <int C, int A, int B>
    void multiply_bf16() {
        asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B));
    }
    // Bytes of A are signed; those of B are unsigned here, and signed below.
    template <int C, int A, int B>
    void multiply_by_unsigned() {
        asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B));
    }
    template <int C, int A, int B>
    void multiply_by_signed() {
        asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B));
    }
};
#else
class Tiles {
  public:
    Tiles(int sum_rows, int depth) : shapes(sum_rows, depth) {}
    Tiles(const Tiles&) = delete;

    template <int TILE>
    void load(const void* from, int64_t stride) {
        zero<TILE>();
        for (int row = 0; row < shapes.rows[TILE]; row++)
            std::memcpy(data[TILE][row], (const char*)from + row * stride, shapes.bytes[TILE]);
    }
    template <int TILE>
    void store(void* to, int64_t stride) {
        for (int row = 0; row < shapes.rows[TILE]; row++)
            std::memcpy((char*)to + row * stride, data[TILE][row], shapes.bytes[TILE]);
    }
    template <int TILE>
    void zero() {
        std::memset(data[TILE], 0, sizeof data[TILE]);
    }

    // The sums of the even and of the odd inputs, each a chain of fused multiply-adds from zero, then both, then C;
    // what is denormal counts as zero, before and after.
    template <int C, int A, int B>
    void multiply_bf16() {
        check<C, A, B>();
        for (int row = 0; row < shapes.rows[C]; row++) {
            Floats even{}, odd{};
            for (int k = 0; k < shapes.rows[B]; k++) {
                const Words a = splat_word(data[A][row] + 4 * k), b = load_raw<Words>(data[B][k]);
                even = fused(a << 16, b << 16, even);
                odd = fused(a & 0xffff0000u, b & 0xffff0000u, odd);
            }
            const Floats both = flushed(even + odd), before = flushed(load_raw<Floats>(data[C][row]));
            store_raw(data[C][row], flushed(before + both));
        }
    }
    template <int C, int A, int B>
    void multiply_by_unsigned() {
        multiply_bytes<C, A, B>([](int8_t byte) { return (int)(uint8_t)byte; });
    }
    template <int C, int A, int B>
    void multiply_by_signed() {
        multiply_bytes<C, A, B>([](int8_t byte) { return (int)byte; });
    }

  private:
    const TileShapes shapes;
    alignas(64) int8_t data[TILES][TILE_ROWS][TILE_BYTES] = {};

    // Where shapes do not fit, the instruction is invalid.
    template <int C, int A, int B>
    void check() const {
        const bool fits = shapes.rows[C] == shapes.rows[A] && shapes.bytes[A] == 4 * shapes.rows[B] &&
                          shapes.bytes[B] == shapes.bytes[C] && shapes.rows[C] > 0 && shapes.rows[C] <= TILE_ROWS &&
                          shapes.rows[B] <= TILE_ROWS && C != A && C != B && A != B;
        if (!fits) __builtin_trap();
    }
    static Floats flushed(Floats value) {
        const Words bits = (Words)value;
        return (Floats)((bits & 0x7f800000u) == 0 ? bits & 0x80000000u : bits);
    }
    static Floats fused(Words a, Words b, Floats sum) {
        const Floats x = flushed((Floats)a), y = flushed((Floats)b);
        for (int lane = 0; lane < LANES; lane++) sum[lane] = __builtin_fmaf(x[lane], y[lane], sum[lane]);
        return flushed(sum);
    }
    template <int C, int A, int B, class Widen>
    void multiply_bytes(Widen widen) {
        check<C, A, B>();
        for (int row = 0; row < shapes.rows[C]; row++) {
            int32_t sums[LANES];
            std::memcpy(sums, data[C][row], sizeof sums);
            for (int k = 0; k < shapes.bytes[A]; k++)
                for (int channel = 0; channel < LANES; channel++)
                    sums[channel] += (int)data[A][row][k] * widen(data[B][k / 4][4 * channel + k % 4]);
            std::memcpy(data[C][row], sums, sizeof sums);
        }
    }
};
#endif

}  // namespace portico::PORTICO_ISA
