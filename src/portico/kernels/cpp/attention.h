// Attention straight from the paged cache, prefill and decode alike, as an online softmax over tiles of keys (Dao et al.
// 2022, arXiv:2205.14135). Tiles begin at multiples of TILE keys, and a query's arithmetic does not depend on its
// neighbours: it has the same bits alone, in a batch, and in any chunking.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "arguments.h"
#include "simd.h"
#include "team.h"

namespace portico::PORTICO_ISA {

constexpr int TILE = 64;             // keys
constexpr int COLUMNS = TILE / LANES;
#if defined(__AVX512F__)
constexpr int ROWS = 6, WIDE = 4;    // the register tile: 24 of 32 registers are sums
#else
constexpr int ROWS = 2, WIDE = 2;    // of 64-byte values, each two registers or four
#endif
constexpr int QUERY_ROWS = 192;      // rows (queries times heads of one key head) that share a tile of keys

// An aligned buffer of a thread, grown and never shrunk.
class Scratch {
public:
    template <class T>
    T* take(size_t count) {
        size_t begin = used_;
        used_ += (count * sizeof(T) + 63) / 64 * 64;
        return reinterpret_cast<T*>(base() + begin);
    }
    void reserve(size_t bytes) {
        if (bytes + 64 > memory_.size()) memory_.resize(bytes + 64);
        used_ = 0;
    }

private:
    char* base() { return reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(memory_.data()) + 63) / 64 * 64); }
    std::vector<char> memory_;
    size_t used_ = 0;
};

// A tile of keys and values where they lie in the cache: for each 16 keys the words of one dimension (or two) side by
// side, and the values of one key (or two) side by side, as many as a dot product takes in one word.
struct Tile {
    const uint32_t* keys[COLUMNS];    // [head_dim / DEPTH][16], rows `key_stride` words apart
    const uint32_t* values[COLUMNS];  // [16 / DEPTH][head_dim]
    int count;                        // keys; what the others hold must not matter
};

// The running softmax of QUERY_ROWS rows.
struct Running {
    float* largest;  // [rows]
    Floats* sums;    // [rows], a partial sum in each lane
    float* out;      // [rows][padded]
};

// What a block of rows needs to know of the tile of keys.
struct TileView {
    int first, head_dim, padded, window;
    int key_stride;
    float scale;
    bool masked;     // some query of the item does not see some key of the tile
};

// The words of up to 16 dimensions; what lies past `left` of them is not read.
inline Words words_of(const uint32_t* from, int left) {
    if (left >= LANES) return load_raw<Words>(from);
    Words words{};
    std::memcpy(&words, from, left * sizeof(uint32_t));
    return words;
}

// scores[r][c] of N rows against all keys of the tile.
template <int N, bool FETCH, class Mul>
inline void scores_of(const typename Mul::Element* query, const Tile& tile, const Tile& next, const TileView& view,
                      Floats (&scores)[N][COLUMNS]) {
    for (int part = 0; part < COLUMNS; part += WIDE) {
        Floats sums[N][WIDE] = {};
        for (int d = 0; d < view.head_dim / Mul::DEPTH; d++) {
            Words key[WIDE];
            for (int c = 0; c < WIDE; c++) key[c] = load_raw<Words>(tile.keys[part + c] + (int64_t)d * view.key_stride);
            if constexpr (FETCH)
                for (int c = 0; c < WIDE; c++) __builtin_prefetch(next.keys[part + c] + (int64_t)d * view.key_stride);
            for (int r = 0; r < N; r++) {
                Words q = splat_word(query + (size_t)r * view.head_dim + d * Mul::DEPTH);
                for (int c = 0; c < WIDE; c++) sums[r][c] = Mul::add(sums[r][c], q, key[c]);
            }
        }
        for (int r = 0; r < N; r++)
            for (int c = 0; c < WIDE; c++) scores[r][part + c] = sums[r][c];
    }
}

// Add the weighted values of the tile to W vectors of N rows, from dimension d on; with TAIL the last vector is not whole.
template <int N, int W, bool FETCH, bool TAIL, class Mul>
inline void accumulate(const typename Mul::Element* weights, const Tile& tile, const Tile& next, const TileView& view,
                       const Running& running, int row, const float (&factor)[N], int d) {
    constexpr int STEP = LANES / Mul::DEPTH;
    Floats sums[N][W];
    for (int r = 0; r < N; r++)
        for (int c = 0; c < W; c++)
            sums[r][c] = load(running.out + (size_t)(row + r) * view.padded + d + c * LANES) * factor[r];
    auto add = [&](const uint32_t* from, int key, uint32_t kept) __attribute__((always_inline)) {
        Words value[W];
        for (int c = 0; c < W; c++) {
            value[c] = TAIL ? words_of(from + c * LANES, view.head_dim - d - c * LANES) : load_raw<Words>(from + c * LANES);
            if (kept != ~0u) value[c] &= kept;
        }
        for (int r = 0; r < N; r++) {
            Words p = splat_word(weights + (size_t)r * TILE + key);
            for (int c = 0; c < W; c++) sums[r][c] = Mul::add(sums[r][c], p, value[c]);
        }
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
    for (int r = 0; r < N; r++)
        for (int c = 0; c < W; c++) store(running.out + (size_t)(row + r) * view.padded + d + c * LANES, sums[r][c]);
}

// Take one tile of keys into N rows: query [N][head_dim], at `positions`; row numbers count from `row`.
template <int N, bool FETCH, class T, class Mul>
void take_tile(const typename Mul::Element* query, const int* positions, int row, const Tile& tile, const Tile& next,
               const TileView& view, const Running& running, typename Mul::Element* weights) {
    constexpr float NEVER = -INFINITY;
    Floats scores[N][COLUMNS];
    scores_of<N, FETCH, Mul>(query, tile, next, view, scores);
    float factor[N];
    for (int r = 0; r < N; r++) {
        Floats most = splat(NEVER);
        for (int c = 0; c < COLUMNS; c++) {
            Floats score = scores[r][c] * view.scale;
            if (view.masked) {
                const Ints lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
                Ints key = lane + (view.first + c * LANES);
                Ints hidden = key > positions[r];
                if (view.window) hidden |= key <= positions[r] - view.window;
                score = select(hidden, splat(NEVER), score);
            }
            scores[r][c] = score;
            most = maximum(most, score);
        }
        const float before = running.largest[row + r], now = std::max(before, largest(most));
        running.largest[row + r] = now;
        factor[r] = before == now ? 1.0f : exponential(splat(before - now))[0];  // of -inf: 0
        Floats total{};
        for (int c = 0; c < COLUMNS; c++) {
            Floats p = now == NEVER ? Floats{} : exponential(scores[r][c] - now);
            total += p;
            store(weights + (size_t)r * TILE + c * LANES, p);
        }
        running.sums[row + r] = running.sums[row + r] * factor[r] + total;
    }
    int d = 0;
    for (; d + WIDE * LANES <= view.head_dim; d += WIDE * LANES)
        accumulate<N, WIDE, FETCH, false, Mul>(weights, tile, next, view, running, row, factor, d);
    for (; d < view.head_dim; d += LANES)
        accumulate<N, 1, FETCH, true, Mul>(weights, tile, next, view, running, row, factor, d);
}

template <bool FETCH, class T, class Mul, int N = ROWS>
void take_tile_rows(int count, const typename Mul::Element* query, const int* positions, int row, const Tile& tile,
                    const Tile& next, const TileView& view, const Running& running, typename Mul::Element* weights) {
    if (count == N) take_tile<N, FETCH, T, Mul>(query, positions, row, tile, next, view, running, weights);
    else if constexpr (N > 1)
        take_tile_rows<FETCH, T, Mul, N - 1>(count, query, positions, row, tile, next, view, running, weights);
}

// The part of a step that one thread computes at a time: some queries of one sequence for one key head.
struct Item {
    int sequence, kv_head, begin, end;  // queries, counted in the sequence
};

// The first and the last key that any query of an item sees.
inline int first_key(const AttendArguments& a, const Item& item) {
    return a.window ? std::max(0, a.starts[item.sequence] + item.begin - a.window + 1) : 0;
}
inline int last_key(const AttendArguments& a, const Item& item) { return a.starts[item.sequence] + item.end - 1; }

// Where the keys and values of a tile lie; for those that no query sees, a neighbour's place.
template <class T, int DEPTH>
Tile find_tile(const AttendArguments& a, const Item& item, int first) {
    const int64_t head_size = (int64_t)a.block_size * a.head_dim, side = a.kv_heads * head_size;
    const int32_t* table = a.tables + (int64_t)item.sequence * a.table_width;
    const int low = first_key(a, item) / LANES * LANES, high = last_key(a, item) / LANES * LANES;
    Tile tile;
    for (int c = 0; c < COLUMNS; c++) {
        const int key = std::clamp(first + c * LANES, low, high), offset = key % a.block_size;
        const T* keys = (const T*)a.pool + table[key / a.block_size] * 2 * side + item.kv_head * head_size;
        tile.keys[c] = (const uint32_t*)(keys + (int64_t)offset * DEPTH);
        tile.values[c] = (const uint32_t*)(keys + side + (int64_t)offset * a.head_dim);
    }
    tile.count = std::min(TILE, last_key(a, item) + 1 - first);
    return tile;
}

// The memory of an item's rows: its queries times the heads of one key head.
template <class T, class Mul>
struct Workplace {
    using Element = typename Mul::Element;
    int rows, padded;
    Element* query;         // [rows][head_dim]
    int* positions;         // [rows]
    Running running;
    Element* weights;       // [ROWS][TILE]

    Workplace(const AttendArguments& a, const Item& item, Scratch& scratch)
        : rows((item.end - item.begin) * (a.heads / a.kv_heads)), padded((a.head_dim + LANES - 1) / LANES * LANES) {
        const size_t state = sizeof(int) + sizeof(float) + sizeof(Floats) + padded * sizeof(float);
        const size_t row_bytes = a.head_dim * sizeof(Element) + state;
        scratch.reserve(rows * row_bytes + TILE * ROWS * sizeof(Element) + 16 * 64);
        query = scratch.take<Element>((size_t)rows * a.head_dim);
        positions = scratch.take<int>(rows);
        running = {scratch.take<float>(rows), scratch.take<Floats>(rows), scratch.take<float>((size_t)rows * padded)};
        weights = scratch.take<Element>(ROWS * TILE);
    }

    void begin(const AttendArguments& a, const Item& item) {
        const int shared = a.heads / a.kv_heads;
        for (int r = 0; r < rows; r++) {
            const int token = item.begin + r / shared, head = item.kv_head * shared + r % shared;
            const T* from = (const T*)a.query + (a.tokens[item.sequence] + token) * a.query_stride;
            from += (int64_t)head * a.head_dim;
            Element* to = query + (size_t)r * a.head_dim;
            for (int i = 0; i < a.head_dim; i++) {
                to[i] = from[i];
            }
            positions[r] = a.starts[item.sequence] + token;
            running.largest[r] = -INFINITY;
            running.sums[r] = Floats{};
        }
        std::memset(running.out, 0, (size_t)rows * padded * sizeof(float));
    }

    void finish(const AttendArguments& a, const Item& item) const {
        const int shared = a.heads / a.kv_heads;
        for (int r = 0; r < rows; r++) {
            const int token = item.begin + r / shared, head = item.kv_head * shared + r % shared;
            T* to = (T*)a.out + ((int64_t)(a.tokens[item.sequence] + token) * a.heads + head) * a.head_dim;
            const float share = 1.0f / sum(running.sums[r]);
            T lanes[LANES];
            for (int d = 0; d < a.head_dim; d += LANES) {
                store(lanes, load(running.out + (size_t)r * padded + d) * share);
                std::memcpy(to + d, lanes, std::min(LANES, a.head_dim - d) * sizeof(T));
            }
        }
    }
};

// `after` is what this thread probably does next: its first keys are fetched along with the last of this one.
template <class T, class Mul>
void attend_item(const AttendArguments& a, const Item& item, const Item& after, Scratch& scratch) {
    Workplace<T, Mul> w(a, item, scratch);
    w.begin(a, item);
    const int seen = last_key(a, item) + 1, from = first_key(a, item) / TILE * TILE;
    Tile tile = find_tile<T, Mul::DEPTH>(a, item, from);
    for (int first = from; first < seen; first += TILE) {
        const bool last = first + TILE >= seen;
        const Tile next = last ? find_tile<T, Mul::DEPTH>(a, after, first_key(a, after) / TILE * TILE)
                               : find_tile<T, Mul::DEPTH>(a, item, first + TILE);
        const bool ahead = first + TILE - 1 > a.starts[item.sequence] + item.begin;
        const bool behind = a.window && first <= last_key(a, item) - a.window;
        const TileView view{first, a.head_dim, w.padded, a.window, a.block_size, a.scale, ahead || behind};
        for (int r = 0; r < w.rows; r += ROWS) {
            const auto take = r == 0 ? take_tile_rows<true, T, Mul> : take_tile_rows<false, T, Mul>;
            take(std::min(ROWS, w.rows - r), w.query + (size_t)r * a.head_dim, w.positions + r, r, tile, next, view,
                 w.running, w.weights);
        }
        tile = next;
    }
    w.finish(a, item);
}

template <class T, class Mul>
void attend(const AttendArguments& a) {
    std::vector<Item> items;
    const int step = std::max(1, QUERY_ROWS / (a.heads / a.kv_heads));
    for (int s = 0; s < a.sequences; s++) {
        const int queries = a.tokens[s + 1] - a.tokens[s];
        for (int begin = 0; begin < queries; begin += step)
            for (int head = 0; head < a.kv_heads; head++)
                items.push_back({s, head, begin, std::min(begin + step, queries)});
    }
    // The longest first, so that the threads end together.
    auto work = [&](const Item& item) {
        return (int64_t)(item.end - item.begin + 8) * (a.starts[item.sequence] + item.end);
    };
    std::stable_sort(items.begin(), items.end(), [&](const Item& x, const Item& y) { return work(x) > work(y); });
    const int count = (int)items.size(), run = count >= 64 ? 4 : 1;
    share_out(count, run, [&](int64_t i) {
        static thread_local Scratch scratch;
        attend_item<T, Mul>(a, items[i], items[std::min<int64_t>(i + 1, count - 1)], scratch);
    });
}

}  // namespace portico::PORTICO_ISA
