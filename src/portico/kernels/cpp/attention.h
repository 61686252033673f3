// Attention straight from the paged cache, prefill and decode alike, as an online softmax over tiles of keys (Dao et al.
// 2022, arXiv:2205.14135). Tiles begin at multiples of TILE keys, and a query's arithmetic does not depend on its
// neighbours: it has the same bits alone, in a batch, and in any chunking.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "keys_int8.h"
#include "keys_plain.h"
#include "team.h"

namespace portico::PORTICO_ISA {

constexpr int QUERY_ROWS = 192;      // rows (queries times heads of one key head) that share a tile of keys
constexpr int KEY_SPAN = 16 * TILE;      // keys that have a softmax of their own; spans are merged from first to last
constexpr int SPLIT_ROWS = 32;       // of an item whose spans may go to several threads
constexpr float LOG2_E = 1.44269504f;
constexpr float HIDDEN = -1e38f;     // a score

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

// The running softmax of some rows over the keys of a span, or of several. Scores are exponents of two.
struct Running {
    static constexpr float NONE = -1e30f;  // the largest of none: differences are to be numbers

    float* largest;  // [rows]
    Floats* sums;    // [rows], a partial sum in each lane
    float* out;      // [rows][padded]

    static size_t bytes(int rows, int padded) {
        return rows * (sizeof(float) + sizeof(Floats) + padded * sizeof(float)) + 3 * 64;
    }
    Running(Scratch& scratch, int rows, int padded)
        : largest(scratch.take<float>(rows)),
          sums(scratch.take<Floats>(rows)),
          out(scratch.take<float>((size_t)rows * padded)) {}

    void clear(int rows, int padded) const {
        std::fill_n(largest, rows, NONE);
        std::fill_n(sums, rows, Floats{});
        std::fill_n(out, (size_t)rows * padded, 0.0f);
    }

    // Add what comes of the keys after these.
    void merge(const Running& later, int rows, int padded) const {
        for (int r = 0; r < rows; r++) {
            if (later.largest[r] == NONE) continue;  // it sees none of them
            const float now = std::max(largest[r], later.largest[r]);
            const float mine = power_of_two(splat(largest[r] - now))[0], theirs = power_of_two(splat(later.largest[r] - now))[0];
            const bool first = largest[r] == NONE;
            largest[r] = now;
            sums[r] = first ? later.sums[r] : sums[r] * mine + later.sums[r] * theirs;
            float *to = out + (size_t)r * padded, *from = later.out + (size_t)r * padded;
            for (int d = 0; d < padded; d += LANES)
                store(to + d, first ? load(from + d) : load(to + d) * mine + load(from + d) * theirs);
        }
    }
};

// Make the scores of keys that a row does not see so small that their weight is 0.
template <int N>
inline void hide_keys(const int* positions, const TileView& view, Floats (&scores)[N][COLUMNS]) {
    const Ints lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    each<N>(PORTICO_EACH(r) {
        each<COLUMNS>(PORTICO_EACH(c) {
            const Ints key = lane + (view.first + c * LANES);
            Ints hidden = key > positions[r];
            if (view.window) hidden |= key <= positions[r] - view.window;
            scores[r][c] = select(hidden, splat(HIDDEN), scores[r][c]);
        });
    });
}

// Take one tile of keys into N rows, at `positions`; row numbers count from `row`.
template <int N, bool FETCH, class Keys>
void take_tile(const char* query, const int* positions, int row, const typename Keys::Tile& tile,
               const typename Keys::Tile& next, const TileView& view, const Running& running, char* weights) {
    Floats scores[N][COLUMNS];
    Keys::template scores_of<N, FETCH>(query, tile, next, view, scores);
    if (view.masked) hide_keys<N>(positions, view, scores);
    float* const largest = running.largest + row;
    Floats* const totals = running.sums + row;
    float factor[N];
    each<N>(PORTICO_EACH(r) {
        Floats most = scores[r][0];
        each<COLUMNS>(PORTICO_EACH(c) { most = maximum(most, scores[r][c]); });
        const Floats before = splat(largest[r]), now = maximum(before, largest_of(most));
        largest[r] = now[0];
        factor[r] = power_of_two(before - now)[0];
        Floats total{};
        each<COLUMNS>(PORTICO_EACH(c) {
            scores[r][c] = power_of_two(scores[r][c] - now);
            total += scores[r][c];
        });
        Keys::put_weights(scores[r], tile, weights + r * Keys::WEIGHT_BYTES);
        totals[r] = totals[r] * factor[r] + total;
    });
    float* out = running.out + (size_t)row * view.padded;
    int d = 0;
    for (; d + WIDE * LANES <= view.head_dim; d += WIDE * LANES)
        Keys::template accumulate<N, WIDE, FETCH, false>(weights, tile, next, view, factor, out, d);
    for (; d < view.head_dim; d += LANES)
        Keys::template accumulate<N, 1, FETCH, true>(weights, tile, next, view, factor, out, d);
}

template <bool FETCH, class Keys, int N = ROWS>
void take_tile_rows(int count, const char* query, const int* positions, int row, const typename Keys::Tile& tile,
                    const typename Keys::Tile& next, const TileView& view, const Running& running, char* weights) {
    if (count == N) take_tile<N, FETCH, Keys>(query, positions, row, tile, next, view, running, weights);
    else if constexpr (N > 1)
        take_tile_rows<FETCH, Keys, N - 1>(count, query, positions, row, tile, next, view, running, weights);
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

// Where a tile of keys lies; for those that no query sees, a neighbour's place.
inline Places find_places(const AttendArguments& a, const Item& item, int first) {
    const int32_t* table = a.tables + (int64_t)item.sequence * a.table_width;
    const int low = first_key(a, item) / LANES * LANES, high = last_key(a, item) / LANES * LANES;
    Places places;
    for (int c = 0; c < COLUMNS; c++) {
        const int key = std::clamp(first + c * LANES, low, high);
        places.part[c] = (int64_t)table[key / a.block_size] * 2 * a.kv_heads + item.kv_head;
        places.offset[c] = key % a.block_size;
    }
    places.count = std::min(TILE, last_key(a, item) + 1 - first);
    return places;
}

inline int padded_width(const AttendArguments& a) { return (a.head_dim + LANES - 1) / LANES * LANES; }
inline int rows_of(const AttendArguments& a, const Item& item) {
    return (item.end - item.begin) * (a.heads / a.kv_heads);
}
inline int first_tile(const AttendArguments& a, const Item& item) { return first_key(a, item) / TILE * TILE; }
inline int span_end(const AttendArguments& a, const Item& item, int from) {
    return std::min((from / KEY_SPAN + 1) * KEY_SPAN, last_key(a, item) + 1);
}

// The memory of an item's rows: its queries times the heads of one key head.
template <class Keys>
struct Workplace {
    using T = typename Keys::Dtype;
    int rows;
    size_t query_bytes;
    char* query;            // [rows][query_bytes]
    int* positions;         // [rows]
    char* weights;          // [ROWS][Keys::WEIGHT_BYTES]

    // `beside`: bytes that are wanted of the same memory afterwards.
    Workplace(const AttendArguments& a, const Item& item, Scratch& scratch, size_t beside)
        : rows(rows_of(a, item)), query_bytes(Keys::query_bytes(a.head_dim)) {
        scratch.reserve(rows * (query_bytes + sizeof(int)) + ROWS * Keys::WEIGHT_BYTES + 3 * 64 + beside);
        query = scratch.take<char>(rows * query_bytes);
        positions = scratch.take<int>(rows);
        weights = scratch.take<char>(ROWS * Keys::WEIGHT_BYTES);
        const int shared = a.heads / a.kv_heads;
        for (int r = 0; r < rows; r++) {
            const int token = item.begin + r / shared, head = item.kv_head * shared + r % shared;
            const T* from = (const T*)a.query + (a.tokens[item.sequence] + token) * a.query_stride;
            Keys::put_query(from + (int64_t)head * a.head_dim, a.head_dim, a.scale * LOG2_E, query + r * query_bytes);
            positions[r] = a.starts[item.sequence] + token;
        }
    }
};

template <class T>
void write_out(const AttendArguments& a, const Item& item, const Running& running) {
    const int shared = a.heads / a.kv_heads, rows = rows_of(a, item);
    for (int r = 0; r < rows; r++) {
        const int token = item.begin + r / shared, head = item.kv_head * shared + r % shared;
        T* to = (T*)a.out + ((int64_t)(a.tokens[item.sequence] + token) * a.heads + head) * a.head_dim;
        const float share = 1.0f / sum(running.sums[r]);
        T lanes[LANES];
        for (int d = 0; d < a.head_dim; d += LANES) {
            store(lanes, load(running.out + (size_t)r * padded_width(a) + d) * share);
            std::memcpy(to + d, lanes, std::min(LANES, a.head_dim - d) * sizeof(T));
        }
    }
}

// Take the keys [from, to) of an item, which are of one span. `after` is where this thread probably reads next: that is
// fetched along with the last tile.
template <class Keys>
void take_span(const AttendArguments& a, const Item& item, int from, int to, const Places& after, const Workplace<Keys>& w,
               const Running& running) {
    running.clear(w.rows, padded_width(a));
    auto tile = Keys::find(a, find_places(a, item, from));
    for (int first = from; first < to; first += TILE) {
        const auto next = Keys::find(a, first + TILE < to ? find_places(a, item, first + TILE) : after);
        const bool ahead = first + TILE - 1 > a.starts[item.sequence] + item.begin;
        const bool behind = a.window && first <= last_key(a, item) - a.window;
        const TileView view{first, a.head_dim, padded_width(a), a.window, a.block_size, a.scale * LOG2_E, ahead || behind};
        int begin = 0;
        while (w.positions[std::min(begin + ROWS, w.rows) - 1] < first) begin += ROWS;  // these see none of the keys
        for (int r = begin; r < w.rows; r += ROWS) {
            const auto take = r == begin ? take_tile_rows<true, Keys> : take_tile_rows<false, Keys>;
            take(std::min(ROWS, w.rows - r), w.query + r * w.query_bytes, w.positions + r, r, tile, next, view, running,
                 w.weights);
        }
        tile = next;
    }
}

template <class Keys>
void attend_item(const AttendArguments& a, const Item& item, const Item& after, Scratch& scratch) {
    const int rows = rows_of(a, item), padded = padded_width(a), seen = last_key(a, item) + 1;
    const Workplace<Keys> w(a, item, scratch, 2 * Running::bytes(rows, padded));
    const Running total(scratch, rows, padded), later(scratch, rows, padded);
    for (int from = first_tile(a, item), to; from < seen; from = to) {
        to = span_end(a, item, from);
        const Places next = to < seen ? find_places(a, item, to) : find_places(a, after, first_tile(a, after));
        const bool first = from == first_tile(a, item);
        take_span(a, item, from, to, next, w, first ? total : later);
        if (!first) total.merge(later, rows, padded);
    }
    write_out<typename Keys::Dtype>(a, item, total);
}

// The same of few long items, span by span on any thread; they are merged in the same order.
template <class Keys>
void attend_spans(const AttendArguments& a, const std::vector<Item>& items) {
    struct Piece {
        int item, from, to;
    };
    static thread_local Scratch memory;
    const int padded = padded_width(a);
    std::vector<Piece> pieces;
    std::vector<size_t> begins;
    size_t bytes = 0;
    for (int i = 0; i < (int)items.size(); i++) {
        begins.push_back(pieces.size());
        for (int from = first_tile(a, items[i]); from <= last_key(a, items[i]); from = pieces.back().to) {
            pieces.push_back({i, from, span_end(a, items[i], from)});
            bytes += Running::bytes(rows_of(a, items[i]), padded);
        }
    }
    begins.push_back(pieces.size());
    memory.reserve(bytes);
    std::vector<Running> found;
    for (const Piece& piece : pieces) found.emplace_back(memory, rows_of(a, items[piece.item]), padded);
    share_out(pieces.size(), 1, [&](int64_t i) {
        static thread_local Scratch scratch;
        const Piece &piece = pieces[i], &after = pieces[std::min<size_t>(i + 1, pieces.size() - 1)];
        const Item& item = items[piece.item];
        const Workplace<Keys> w(a, item, scratch, 0);
        take_span(a, item, piece.from, piece.to, find_places(a, items[after.item], after.from), w, found[i]);
    });
    share_out(items.size(), 16, [&](int64_t i) {
        const Running& total = found[begins[i]];
        for (size_t later = begins[i] + 1; later < begins[i + 1]; later++)
            total.merge(found[later], rows_of(a, items[i]), padded);
        write_out<typename Keys::Dtype>(a, items[i], total);
    });
}

// Whether there are so few items for so many threads that some would wait for the longest.
inline bool worth_splitting(const AttendArguments& a, const std::vector<Item>& items) {
    const auto small = [&](const Item& item) { return rows_of(a, item) <= SPLIT_ROWS; };
    return team_size() > 1 && items.size() < 8 * (size_t)team_size() && std::all_of(items.begin(), items.end(), small) &&
           last_key(a, items[0]) - first_key(a, items[0]) >= KEY_SPAN;
}

template <class Keys>
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
    if (!items.empty() && worth_splitting(a, items)) return attend_spans<Keys>(a, items);
    const int count = (int)items.size(), run = count >= 64 ? 4 : 1;
    share_out(count, run, [&](int64_t i) {
        static thread_local Scratch scratch;
        attend_item<Keys>(a, items[i], items[std::min<int64_t>(i + 1, count - 1)], scratch);
    });
}

}  // namespace portico::PORTICO_ISA
