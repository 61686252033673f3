// Keys and values in the dtype of the computation, in words that a dot product takes: for each 16 keys the words of one
// dimension (or two) side by side, and the values of one key (or two) side by side.
#pragma once

#include "keys.h"

namespace portico::PORTICO_ISA {

template <class T, class Mul>
struct PlainKeys {
    using Dtype = T;

    struct Tile {
        const uint32_t* keys[COLUMNS];    // [head_dim / DEPTH][16], rows `key_stride` words apart
        const uint32_t* values[COLUMNS];  // [16 / DEPTH][head_dim]
        int count;
    };

    static Tile find(const AttendArguments& a, const Places& places) {
        const int64_t size = (int64_t)a.block_size * a.head_dim;
        Tile tile;
        for (int c = 0; c < COLUMNS; c++) {
            const T *keys = (const T*)a.pool + places.part[c] * size, *values = keys + a.kv_heads * size;
            tile.keys[c] = (const uint32_t*)(keys + (int64_t)places.offset[c] * Mul::DEPTH);
            tile.values[c] = (const uint32_t*)(values + (int64_t)places.offset[c] * a.head_dim);
        }
        tile.count = places.count;
        return tile;
    }

    static size_t query_bytes(int head_dim) { return head_dim * sizeof(T); }
    static constexpr size_t WEIGHT_BYTES = TILE * sizeof(T);

    static void put_query(const T* from, int head_dim, float, char* to) { std::memcpy(to, from, head_dim * sizeof(T)); }

    static void put_weights(const Floats (&shares)[COLUMNS], const Tile&, char* to) {
        each<COLUMNS / 2>(PORTICO_EACH(c) { store_two((T*)to + 2 * c * LANES, shares[2 * c], shares[2 * c + 1]); });
    }

    // scores[r][c] of N rows against all keys of the tile.
    template <int N, bool FETCH>
    static void scores_of(const char* query, const Tile& tile, const Tile& next, const TileView& view,
                          Floats (&scores)[N][COLUMNS]) {
        for (int part = 0; part < COLUMNS; part += WIDE) {
            Floats sums[N][WIDE];
            each<N>(PORTICO_EACH(r) { each<WIDE>(PORTICO_EACH(c) { sums[r][c] = Floats{}; }); });
            for (int d = 0; d < view.head_dim / Mul::DEPTH; d++) {
                Words key[WIDE];
                each<WIDE>(PORTICO_EACH(c) {
                    key[c] = load_raw<Words>(tile.keys[part + c] + (int64_t)d * view.key_stride);
                    if (FETCH) __builtin_prefetch(next.keys[part + c] + (int64_t)d * view.key_stride);
                });
                each<N>(PORTICO_EACH(r) {
                    const Words q = splat_word((const T*)query + (size_t)r * view.head_dim + d * Mul::DEPTH);
                    each<WIDE>(PORTICO_EACH(c) { sums[r][c] = Mul::add(sums[r][c], q, key[c]); });
                });
            }
            each<N>(PORTICO_EACH(r) { each<WIDE>(PORTICO_EACH(c) { scores[r][part + c] = sums[r][c] * view.scale; }); });
        }
    }

    // Add the weighted values of the tile to W vectors of N rows out [N][padded], first multiplied by their factors, from
    // dimension d on; with TAIL the last vector is not whole.
    template <int N, int W, bool FETCH, bool TAIL>
    static void accumulate(const char* weights, const Tile& tile, const Tile& next, const TileView& view,
                           const float (&factor)[N], float* out, int d) {
        constexpr int STEP = LANES / Mul::DEPTH;
        const int64_t width = view.padded;
        Floats sums[N][W];
        each<N>(PORTICO_EACH(r) {
            each<W>(PORTICO_EACH(c) { sums[r][c] = load(out + r * width + d + c * LANES) * factor[r]; });
        });
        auto add = [&](const uint32_t* from, int key, uint32_t kept) __attribute__((always_inline)) {
            Words value[W];
            each<W>(PORTICO_EACH(c) {
                value[c] = value_words<TAIL>(from + c * LANES, view.head_dim - d - c * LANES);
                if (kept != ~0u) value[c] &= kept;
            });
            each<N>(PORTICO_EACH(r) {
                const Words p = splat_word((const T*)weights + (size_t)r * TILE + key);
                each<W>(PORTICO_EACH(c) { sums[r][c] = Mul::add(sums[r][c], p, value[c]); });
            });
        };
        for (int group = 0; group * LANES < tile.count; group++) {
            const uint32_t* from = tile.values[group] + d;
            const int whole = std::min(STEP, (tile.count - group * LANES) / Mul::DEPTH);
            for (int step = 0; step < whole; step++, from += view.head_dim) {
                if constexpr (FETCH)
                    for (int c = 0; c < W; c++)
                        __builtin_prefetch(next.values[group] + (int64_t)step * view.head_dim + d + c * LANES);
                add(from, group * LANES + step * Mul::DEPTH, ~0u);
            }
            // Beside the last key its word may hold what nobody has written.
            if (whole < STEP && tile.count % Mul::DEPTH) add(from, tile.count - 1, 0xffffu);
        }
        each<N>(PORTICO_EACH(r) {
            each<W>(PORTICO_EACH(c) { store(out + r * width + d + c * LANES, sums[r][c]); });
        });
    }
};

}  // namespace portico::PORTICO_ISA
