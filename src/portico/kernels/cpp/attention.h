// Attention straight from the paged cache, prefill and decode alike, as an online softmax over tiles of keys (Dao et al.
// 2022, arXiv:2205.14135). Tiles begin at multiples of TILE keys, and a query's arithmetic does not depend on its
// neighbours: it has the same bits alone, in a batch, and in any chunking.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "arguments.h"
#include "simd.h"

namespace portico::PORTICO_ISA {

constexpr int TILE = 64;             // keys
constexpr int COLUMNS = TILE / LANES;
#if defined(__AVX512F__)
constexpr int ROWS = 6, WIDE = 4;    // the register tile: 24 of 32 registers are sums
#else
constexpr int ROWS = 2, WIDE = 2;    // of 64-byte values, each two registers or four
#endif
constexpr int QUERY_ROWS = 192;      // rows (queries times heads of one key head) that share a packed tile of keys

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

// Columns to rows of 16 x 16 words, by exchanging off-diagonal blocks of 8, 4, 2 and 1.
template <int STEP, int... J>
inline void exchange(Words (&m)[LANES], std::integer_sequence<int, J...>) {
    for (int i = 0; i < LANES; i++) {
        if (i & STEP) continue;
        Words a = m[i], b = m[i + STEP];
        m[i] = __builtin_shuffle(a, b, Words{((J & STEP) ? (J ^ STEP) + LANES : J)...});
        m[i + STEP] = __builtin_shuffle(a, b, Words{((J & STEP) ? J + LANES : (J ^ STEP))...});
    }
}

inline void transpose(Words (&m)[LANES]) {
    constexpr auto lanes = std::make_integer_sequence<int, LANES>();
    exchange<8>(m, lanes);
    exchange<4>(m, lanes);
    exchange<2>(m, lanes);
    exchange<1>(m, lanes);
}

// How a tile of keys and values is laid out for the dot products of `Mul`.
template <class T, class Mul>
struct Packed {
    static constexpr int DEPTH = Mul::DEPTH;
    Words* keys;    // [head_dim / DEPTH][TILE], the depth of a dot product in each word
    Words* values;  // [TILE / DEPTH][head_dim], padded to whole vectors

    // Words of one key's vector, DEPTH elements in each; elements past head_dim are zero.
    static Words key_words(const T* from, int left) {
        if constexpr (DEPTH == 2) {
            if (left >= 2 * LANES) return load_raw<Words>(from);
            Words words{};
            std::memcpy(&words, from, left * sizeof(T));
            return words;
        } else {
            if (left >= LANES) return (Words)load(from);
            Floats words{};
            for (int i = 0; i < left; i++) words[i] = widen(from[i]);
            return (Words)words;
        }
    }

    // `next`: the rows of the tile after this one, fetched meanwhile: blocks lie anywhere, so that no hardware
    // prefetcher follows.
    void pack_keys(const T* const* rows, const T* const* next, int count, int head_dim) const {
        for (int group = 0; group < TILE; group += LANES) {
            if (group >= count) break;  // what is not there is masked
            for (int d = 0; d < head_dim; d += LANES * DEPTH) {
                Words m[LANES];
                for (int i = 0; i < LANES; i++) {
                    __builtin_prefetch(next[group + i] + d);
                    m[i] = group + i < count ? key_words(rows[group + i] + d, head_dim - d) : Words{};
                }
                transpose(m);
                for (int i = 0; i < LANES && d + i * DEPTH < head_dim; i++)
                    store_raw(reinterpret_cast<uint32_t*>(keys) + (d / DEPTH + i) * TILE + group, m[i]);
            }
        }
    }

    void pack_values(const T* const* rows, const T* const* next, int count, int head_dim, int padded) const {
        for (int key = 0; key < TILE; key += DEPTH) {
            uint32_t* to = reinterpret_cast<uint32_t*>(values) + key / DEPTH * padded;
            for (int d = 0; d < padded; d += LANES) {
                if constexpr (DEPTH == 2) {
                    __builtin_prefetch((d & LANES ? next[key + 1] - LANES : next[key]) + d);
                    Words first = key < count ? halves(rows[key] + d, head_dim - d) : Words{};
                    Words second = key + 1 < count ? halves(rows[key + 1] + d, head_dim - d) : Words{};
                    store_raw(to + d, first | (second << 16));
                } else {
                    __builtin_prefetch(next[key] + d);
                    store_raw(to + d, key < count ? key_words(rows[key] + d, head_dim - d) : Words{});
                }
            }
        }
    }

    static Words halves(const T* from, int left) {
        Halves half{};
        if (left >= LANES) half = load_raw<Halves>(from);
        else if (left > 0) std::memcpy(&half, from, left * sizeof(T));
        return __builtin_convertvector(half, Words);
    }
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
    float scale;
    bool masked;     // some query of the item does not see some key of the tile
};

// scores[r][c] of N rows against all keys of the tile.
template <int N, class T, class Mul>
inline void scores_of(const typename Mul::Element* query, const Packed<T, Mul>& tile, int head_dim,
                      Floats (&scores)[N][COLUMNS]) {
    const uint32_t* keys = reinterpret_cast<const uint32_t*>(tile.keys);
    for (int part = 0; part < COLUMNS; part += WIDE) {
        Floats sums[N][WIDE] = {};
        for (int d = 0; d < head_dim / Mul::DEPTH; d++) {
            Words key[WIDE];
            for (int c = 0; c < WIDE; c++) key[c] = load_raw<Words>(keys + d * TILE + (part + c) * LANES);
            for (int r = 0; r < N; r++) {
                Words q = splat_word(query + (size_t)r * head_dim + d * Mul::DEPTH);
                for (int c = 0; c < WIDE; c++) sums[r][c] = Mul::add(sums[r][c], q, key[c]);
            }
        }
        for (int r = 0; r < N; r++)
            for (int c = 0; c < WIDE; c++) scores[r][part + c] = sums[r][c];
    }
}

// Take one tile of keys into N rows: query [N][head_dim], at `positions`; row numbers count from `row`.
template <int N, class T, class Mul>
void take_tile(const typename Mul::Element* query, const int* positions, int row, const Packed<T, Mul>& tile,
               const TileView& view, const Running& running, typename Mul::Element* weights) {
    constexpr float NEVER = -INFINITY;
    Floats scores[N][COLUMNS];
    scores_of<N, T, Mul>(query, tile, view.head_dim, scores);
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
    const uint32_t* values = reinterpret_cast<const uint32_t*>(tile.values);
    auto accumulate = [&]<int W>(int d) {
        Floats sums[N][W];
        for (int r = 0; r < N; r++)
            for (int c = 0; c < W; c++)
                sums[r][c] = load(running.out + (size_t)(row + r) * view.padded + d + c * LANES) * factor[r];
        for (int key = 0; key < TILE / Mul::DEPTH; key++) {
            Words value[W];
            for (int c = 0; c < W; c++) value[c] = load_raw<Words>(values + key * view.padded + d + c * LANES);
            for (int r = 0; r < N; r++) {
                Words p = splat_word(weights + (size_t)r * TILE + key * Mul::DEPTH);
                for (int c = 0; c < W; c++) sums[r][c] = Mul::add(sums[r][c], p, value[c]);
            }
        }
        for (int r = 0; r < N; r++)
            for (int c = 0; c < W; c++)
                store(running.out + (size_t)(row + r) * view.padded + d + c * LANES, sums[r][c]);
    };
    int d = 0;
    for (; d + WIDE * LANES <= view.padded; d += WIDE * LANES) accumulate.template operator()<WIDE>(d);
    for (; d < view.padded; d += LANES) accumulate.template operator()<1>(d);
}

template <class T, class Mul, int N = ROWS>
void take_tile_rows(int count, const typename Mul::Element* query, const int* positions, int row,
                    const Packed<T, Mul>& tile, const TileView& view, const Running& running,
                    typename Mul::Element* weights) {
    if (count == N) take_tile<N, T, Mul>(query, positions, row, tile, view, running, weights);
    else if constexpr (N > 1) take_tile_rows<T, Mul, N - 1>(count, query, positions, row, tile, view, running, weights);
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

// Where the keys and values of a tile lie; those that no query sees are replaced by a neighbour.
template <class T>
void find_rows(const AttendArguments& a, const Item& item, int first, const T** keys, const T** values) {
    const int64_t head_stride = (int64_t)a.block_size * a.head_dim, side = a.kv_heads * head_stride;
    const int32_t* table = a.tables + (int64_t)item.sequence * a.table_width;
    const int low = first_key(a, item), high = last_key(a, item);
    for (int k = 0; k < TILE; k++) {
        const int key = std::clamp(first + k, low, high);
        const T* block = (const T*)a.pool + table[key / a.block_size] * 2 * side + item.kv_head * head_stride;
        keys[k] = block + (int64_t)(key % a.block_size) * a.head_dim;
        values[k] = keys[k] + side;
    }
}

// The memory of an item's rows (its queries times the heads of one key head) and of one tile of keys.
template <class T, class Mul>
struct Workplace {
    using Element = typename Mul::Element;
    int rows, padded;
    Element* query;         // [rows][head_dim]
    int* positions;         // [rows]
    Running running;
    Packed<T, Mul> tile;
    Element* weights;       // [ROWS][TILE]
    const T **keys, **values, **next_keys, **next_values;  // [TILE] each: the rows of this tile and of the next

    Workplace(const AttendArguments& a, const Item& item, Scratch& scratch)
        : rows((item.end - item.begin) * (a.heads / a.kv_heads)), padded((a.head_dim + LANES - 1) / LANES * LANES) {
        const size_t state = sizeof(int) + sizeof(float) + sizeof(Floats) + padded * sizeof(float);
        const size_t row_bytes = a.head_dim * sizeof(Element) + state;
        const size_t tile_bytes = TILE * (2 * padded * sizeof(float) + 4 * sizeof(T*) + ROWS * sizeof(Element));
        scratch.reserve(rows * row_bytes + tile_bytes + 16 * 64);
        query = scratch.take<Element>((size_t)rows * a.head_dim);
        positions = scratch.take<int>(rows);
        running = {scratch.take<float>(rows), scratch.take<Floats>(rows), scratch.take<float>((size_t)rows * padded)};
        const size_t words = (size_t)TILE * padded / LANES;
        tile = {scratch.take<Words>(words), scratch.take<Words>(words)};
        weights = scratch.take<Element>(ROWS * TILE);
        for (auto rows_of : {&keys, &values, &next_keys, &next_values}) *rows_of = scratch.take<const T*>(TILE);
    }

    void begin(const AttendArguments& a, const Item& item) {
        const int shared = a.heads / a.kv_heads;
        for (int r = 0; r < rows; r++) {
            const int token = item.begin + r / shared, head = item.kv_head * shared + r % shared;
            const T* from = (const T*)a.query + (a.tokens[item.sequence] + token) * a.query_stride;
            from += (int64_t)head * a.head_dim;
            Element* to = query + (size_t)r * a.head_dim;
            for (int i = 0; i < a.head_dim; i++) {
                if constexpr (sizeof(Element) == sizeof(T)) to[i] = from[i];
                else to[i] = widen(from[i]);
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
    find_rows(a, item, from, w.keys, w.values);
    for (int first = from; first < seen; first += TILE) {
        if (first + TILE < seen) find_rows(a, item, first + TILE, w.next_keys, w.next_values);
        else find_rows(a, after, first_key(a, after) / TILE * TILE, w.next_keys, w.next_values);
        const int count = std::min(TILE, seen - first);
        w.tile.pack_keys(w.keys, w.next_keys, count, a.head_dim);
        w.tile.pack_values(w.values, w.next_values, count, a.head_dim, w.padded);
        std::swap(w.keys, w.next_keys);
        std::swap(w.values, w.next_values);
        const bool ahead = first + TILE - 1 > a.starts[item.sequence] + item.begin;
        const bool behind = a.window && first <= last_key(a, item) - a.window;
        const TileView view{first, a.head_dim, w.padded, a.window, a.scale, ahead || behind};
        for (int r = 0; r < w.rows; r += ROWS)
            take_tile_rows<T, Mul>(std::min(ROWS, w.rows - r), w.query + (size_t)r * a.head_dim, w.positions + r, r,
                                   w.tile, view, w.running, w.weights);
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
#pragma omp parallel if (count > 1)
    {
        static thread_local Scratch scratch;
#pragma omp for schedule(dynamic, run)
        for (int i = 0; i < count; i++) attend_item<T, Mul>(a, items[i], items[std::min(i + 1, count - 1)], scratch);
    }
}

}  // namespace portico::PORTICO_ISA
