// Products on matrix tiles with the weights that linear.h and quantized.h pack: in a panel the words of 16 channels at
// consecutive steps are the rows of a tile, with the other 16 channels between them.
//
// Rows of x become tiles first. 32 of them by a panel are four tiles of sums, so that each tile of rows or of weights is
// loaded once for two products. Few rows go the same way, in tiles of so many rows: what a row gives does not depend on
// the other rows of its tile, nor on how many there are.
#pragma once

#include <algorithm>
#include <cstring>

#include "panels.h"
#include "quantized.h"
#include "tiles.h"

namespace portico::PORTICO_ISA {

constexpr int WORDS_STRIDE = PANEL * 4;      // bytes from a step of a panel to the next
constexpr int64_t NEAR_BYTES = 1024 * 1024;  // of rows that stay in the second-level cache while panels pass
constexpr int64_t WORTHWHILE_TILES = 16;     // of rows for which all panels may come from memory once more

inline int tile_rows_of(const LinearArguments& a) { return (int)std::min<int64_t>(TILE_ROWS, a.rows); }

// In tiles; `bytes`: of one row when it is one.
inline Rows tiled_rows(const LinearArguments& a, int64_t bytes) {
    const int64_t count = (a.rows + TILE_ROWS - 1) / TILE_ROWS;
    return {count, LEAST_ROWS / TILE_ROWS, std::max(WORTHWHILE_TILES, NEAR_BYTES / (TILE_ROWS * bytes))};
}

// One step for ROWS tiles of rows: add their products with 2 x 16 channels to the sums; `step` applies one product.
template <int ROWS, class Step>
inline void add_tiles(Tiles& tiles, const void* rows, int64_t next_rows, int depth, const void* low, const void* high,
                      int64_t stride, Step step) {
    tiles.load<WEIGHTS>(low, stride);
    tiles.load<INPUTS>(rows, depth);
    step.template operator()<SUMS, INPUTS, WEIGHTS>(tiles);
    tiles.load<WEIGHTS + 1>(high, stride);
    step.template operator()<SUMS + 1, INPUTS, WEIGHTS + 1>(tiles);
    if constexpr (ROWS == 2) {
        tiles.load<INPUTS + 1>((const char*)rows + next_rows, depth);
        step.template operator()<SUMS + 2, INPUTS + 1, WEIGHTS>(tiles);
        step.template operator()<SUMS + 3, INPUTS + 1, WEIGHTS + 1>(tiles);
    }
}

template <int ROWS>
inline void zero_sums(Tiles& tiles) {
    tiles.zero<SUMS>();
    tiles.zero<SUMS + 1>();
    if constexpr (ROWS == 2) {
        tiles.zero<SUMS + 2>();
        tiles.zero<SUMS + 3>();
    }
}

// The sums of a panel's halves for each row of up to two tiles, in floats or whole numbers.
template <class V>
struct alignas(64) Sums {
    V halves[2][2 * TILE_ROWS];
};

template <int ROWS, class V>
inline void store_sums(Tiles& tiles, Sums<V>& to) {
    static_assert(sizeof(V) == TILE_BYTES);
    tiles.store<SUMS>(&to.halves[0][0], TILE_BYTES);
    tiles.store<SUMS + 1>(&to.halves[1][0], TILE_BYTES);
    if constexpr (ROWS == 2) {
        tiles.store<SUMS + 2>(&to.halves[0][TILE_ROWS], TILE_BYTES);
        tiles.store<SUMS + 3>(&to.halves[1][TILE_ROWS], TILE_BYTES);
    }
}

// Write the sums of the rows of ROWS tiles from `tile` on; those past the last row are of nothing.
template <class T, int ROWS>
inline void store_rows(const LinearArguments& a, int64_t panel, int64_t tile, const Sums<Floats>& sums) {
    const int64_t first = tile * TILE_ROWS, count = std::min<int64_t>(ROWS * TILE_ROWS, a.rows - first);
    for (int64_t r = 0; r < count; r++)
        for (int half = 0; half < 2; half++)
            store_panel_half<T>(a, panel * PANEL + half * LANES, first + r, sums.halves[half][r]);
}

// Rows of bfloat16: [tiles of rows][tiles of inputs][rows of a tile][64 bytes], zero past the last input.
struct TiledRows {
    int64_t input_tiles;
    int tile_rows;
    const char* values;

    int64_t tile_bytes() const { return tile_rows * TILE_BYTES; }
    const char* tile(int64_t number) const { return values + number * input_tiles * tile_bytes(); }
};

inline TiledRows tile_rows(const LinearArguments& a) {
    const int64_t input_tiles = (a.inputs * 2 + TILE_BYTES - 1) / TILE_BYTES, tail = a.inputs * 2 % TILE_BYTES;
    const int64_t all = (a.rows + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS;
    auto* values = (char*)scratch(all * input_tiles * TILE_BYTES);
    const TiledRows to = {input_tiles, tile_rows_of(a), values};
    share_out(a.rows, rows_worth_sharing(a.inputs), [&](int64_t row) {
        const char* from = (const char*)a.x + row * a.x_stride * 2;
        char* at = (char*)to.tile(row / to.tile_rows) + row % to.tile_rows * TILE_BYTES;
        for (int64_t i = 0; i < input_tiles; i++, from += TILE_BYTES, at += to.tile_bytes()) {
            const bool whole = i < input_tiles - 1 || tail == 0;
            if (!whole) std::memset(at, 0, TILE_BYTES);
            std::memcpy(at, from, whole ? TILE_BYTES : tail);
        }
    });
    return to;
}

struct MultiplyTiles {
    static constexpr int BLOCK_ROWS = 2, ALONE_ROWS = 2;
    static constexpr int STEP_BYTES = TILE_ROWS * WORDS_STRIDE;

    const LinearArguments& a;
    const TiledRows& x;
    const int64_t panel_bytes;
    Tiles tiles;

    MultiplyTiles(const LinearArguments& arguments, const TiledRows& rows)
        : a(arguments), x(rows), panel_bytes((a.inputs + 1) / 2 * WORDS_STRIDE), tiles(rows.tile_rows, TILE_BYTES) {}
    const char* panel(int64_t number) const { return (const char*)a.packed + number * panel_bytes; }

    template <int ROWS>
    void block(int64_t number, int64_t tile, Ahead ahead) {
        const char *weight = panel(number), *rows = x.tile(tile);
        const int64_t next_rows = x.tile(1) - x.tile(0), step_rows = x.tile_bytes();
        const auto add = [&](const char* words) {
            add_tiles<ROWS>(tiles, rows, next_rows, TILE_BYTES, words, words + TILE_BYTES, WORDS_STRIDE,
                            []<int C, int A, int B>(Tiles& t) { t.multiply_bf16<C, A, B>(); });
            rows += step_rows;
        };
        zero_sums<ROWS>(tiles);
        for (int64_t left = panel_bytes; left > 0; left -= STEP_BYTES, weight += STEP_BYTES) {
            ahead.fetch(TILE_ROWS);
            if (left >= STEP_BYTES) {
                add(weight);
            } else {
                alignas(64) char last[STEP_BYTES] = {};
                std::memcpy(last, weight, left);
                add(last);
            }
        }
        Sums<Floats> sums;
        store_sums<ROWS>(tiles, sums);
        store_rows<Bf16, ROWS>(a, number, tile, sums);
    }
};

// Sums of a group leave the tiles as whole numbers; a block later, while the tiles compute on, they are scaled and added
// to the floats. The order and the rounding are those of MultiplyQuantized.
template <class T, class Format>
struct MultiplyTilesQuantized {
    static constexpr int BLOCK_ROWS = 2, ALONE_ROWS = 2;
    static constexpr int GROUPS = Layout<Format>::GROUPS, DEPTH = Format::DEPTH;
    static constexpr bool UNPACKED = Format::BYTES_PER_STEP < WORDS_STRIDE;

    const LinearArguments& a;
    const QuantizedRows& x;
    const Layout<Format> layout;
    Tiles tiles;
    Sums<Floats> sums;
    Sums<Ints> found[2][GROUPS];                     // of this block and of the last
    alignas(64) uint8_t unpacked[2][2][DEPTH * 16];  // of this group and of the next: two halves

    MultiplyTilesQuantized(const LinearArguments& arguments, const QuantizedRows& rows)
        : a(arguments), x(rows), layout(arguments), tiles(rows.tile_rows, DEPTH) {}
    const char* panel(int64_t number) const { return (const char*)a.packed + number * layout.panel_bytes(); }

    template <int ROWS>
    void block(int64_t number, int64_t tile, Ahead ahead) {
        const auto* weight = (const uint8_t*)panel(number);
        const int64_t first = tile * TILE_ROWS, groups = layout.blocks * GROUPS;
        const int count = (int)std::min<int64_t>(ROWS * TILE_ROWS, a.rows - first);
        for (int half = 0; half < 2; half++) std::fill_n(sums.halves[half], count, Floats{});
        if constexpr (UNPACKED) unpack(weight, 0);
        for (int64_t group = 0; group < groups; group++) {
            const int64_t block = group / GROUPS;
            const int part = group % GROUPS;
            ahead.fetch((layout.GROUP_BYTES + LINE) / (2 * LINE));
            if constexpr (UNPACKED)
                if (group + 1 < groups) unpack(weight + layout.GROUP_BYTES, (group + 1) % 2);
            add_group<ROWS>(weight, group, tile);
            weight += layout.GROUP_BYTES;
            if (block > 0) fold(number, block - 1, first, count * part / GROUPS, count * (part + 1) / GROUPS);
        }
        fold(number, layout.blocks - 1, first, 0, count);
        store_rows<T, ROWS>(a, number, tile, sums);
    }

    // Halves of bytes as signed bytes, for tiles of 8 steps. They are read a group later: no tile waits for them.
    void unpack(const uint8_t* group, int which) {
        typedef int8_t Signed __attribute__((vector_size(64)));
        for (int step = 0; step < layout.STEPS; step++) {
            Words low, high;
            Format::load_step(group + step * Format::BYTES_PER_STEP, low, high);
            store_raw(unpacked[which][0] + step * TILE_BYTES, (Signed)low - (int8_t)Format::OFFSET);
            store_raw(unpacked[which][1] + step * TILE_BYTES, (Signed)high - (int8_t)Format::OFFSET);
        }
    }

    template <int ROWS>
    void add_group(const uint8_t* weight, int64_t group, int64_t tile) {
        const int64_t block = group / GROUPS;
        const int part = group % GROUPS;
        const int8_t* rows = x.tile(tile, block) + part * Format::GROUP * x.tile_rows;
        const int64_t next_rows = x.tile(1, 0) - x.tile(0, 0);
        zero_sums<ROWS>(tiles);
        if constexpr (UNPACKED) {
            const auto& bytes = unpacked[group % 2];
            add_tiles<ROWS>(tiles, rows, next_rows, DEPTH, bytes[0], bytes[1], TILE_BYTES,
                            []<int C, int A, int B>(Tiles& t) { t.multiply_by_signed<C, A, B>(); });
        } else {
            for (int i = 0; i < Format::GROUP; i += DEPTH, rows += DEPTH * x.tile_rows, weight += DEPTH * PANEL)
                add_tiles<ROWS>(tiles, rows, next_rows, DEPTH, weight, weight + TILE_BYTES, WORDS_STRIDE,
                                []<int C, int A, int B>(Tiles& t) { t.multiply_by_unsigned<C, A, B>(); });
        }
        store_sums<ROWS>(tiles, found[block % 2][part]);
    }

    // Add what a block gave to the sums of rows `begin` to `end`, counted from `first`.
    void fold(int64_t number, int64_t block, int64_t first, int begin, int end) {
        const auto* weight = (const uint8_t*)panel(number) + block * GROUPS * layout.GROUP_BYTES + layout.WEIGHT_BYTES;
        for (int half = 0; half < 2; half++) {
            Floats scales[GROUPS];
            for (int group = 0; group < GROUPS; group++)
                scales[group] = load((const typename Format::Scale*)(weight + group * layout.GROUP_BYTES) + half * LANES);
            for (int r = begin; r < end; r++) {
                const int64_t place = (first + r) * layout.blocks + block;
                Floats parts{};
                for (int group = 0; group < GROUPS; group++) {
                    Ints exact = found[block % 2][group].halves[half][r];
                    if constexpr (!UNPACKED) exact += x.begins[place * GROUPS + group];
                    parts += __builtin_convertvector(exact, Floats) * scales[group];
                }
                sums.halves[half][r] += parts * x.scales[place];
            }
        }
    }
};

inline void linear_tiled(const LinearArguments& a) {
    if (a.rows == 0) return;
    const TiledRows x = tile_rows(a);
    over_panels<MultiplyTiles>(a, tiled_rows(a, a.inputs * 2), x);
}

template <class T, class Format>
void linear_tiled_quantized(const LinearArguments& a) {
    if (a.rows == 0) return;
    const QuantizedRows x = quantize_rows<T, Format>(a, tile_rows_of(a));
    over_panels<MultiplyTilesQuantized<T, Format>>(a, tiled_rows(a, a.inputs), x);
}

}  // namespace portico::PORTICO_ISA
