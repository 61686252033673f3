// What attention over a tile of keys is made of, whatever the cache holds: sizes, places, and what a tile is told.
#pragma once

#include <algorithm>

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

// Where each 16 keys of a tile begin: their head's part of a block, counted in such parts of the pool (that of the values
// is `kv_heads` parts later), and the first key's number in it.
struct Places {
    int64_t part[COLUMNS];
    int offset[COLUMNS];
    int count;  // keys; what the others hold must not matter
};

// What a block of rows needs to know of the tile of keys.
struct TileView {
    int first, head_dim, padded, window;
    int key_stride;
    float scale;         // of scores that are exponents of two
    bool masked;     // some query of the item does not see some key of the tile
};

// The words of up to 16 dimensions; what lies past `left` of them is not read.
inline Words words_of(const uint32_t* from, int left) {
    if (left >= LANES) return load_raw<Words>(from);
    Words words{};
    std::memcpy(&words, from, std::max(left, 0) * sizeof(uint32_t));
    return words;
}

template <bool TAIL>
inline Words value_words(const uint32_t* from, int left) {
    return TAIL ? words_of(from, left) : load_raw<Words>(from);
}

}  // namespace portico::PORTICO_ISA
