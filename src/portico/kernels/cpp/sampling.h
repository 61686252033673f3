// From rows of logits to tokens, and what there is to say of them. Rows are independent, and every sum runs in an order that
// depends on its row alone.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>
#include <vector>

#include "arguments.h"
#include "simd.h"
#include "team.h"

namespace portico::PORTICO_ISA {

constexpr int SPAN = 1024;   // logits whose weights are summed together before they enter the running total
constexpr int PATCH = 64;    // logits that share a maximum while the largest are looked for

template <class T>
inline float largest_of(const T* x, int count) {
    Floats most = splat(-INFINITY);
    int i = 0;
    for (; i + LANES <= count; i += LANES) most = maximum(most, load(x + i));
    float result = largest(most);
    for (; i < count; i++) result = std::max(result, widen(x[i]));
    return result;
}

// exp((x - most) * scale) of up to 16 logits; lanes past `count` are 0.
template <class T>
inline Floats weights_of(const T* x, int count, float most, float scale) {
    return exponential((padded(x, count, -INFINITY) - most) * scale);
}

template <class T>
inline double span_weight(const T* x, int count, float most, float scale) {
    Floats total{};
    for (int i = 0; i < count; i += LANES) total += weights_of(x + i, count - i, most, scale);
    return sum(total);
}

// The first logit of a row at which the running weight exceeds `target`; the last one with weight if rounding hides it.
template <class T>
inline int64_t place_of(const T* x, int count, const std::vector<double>& spans, double target, float most, float scale) {
    double before = 0;
    int last = (int)spans.size() - 1, span = 0;
    while (last > 0 && spans[last] == 0) last--;
    while (span < last && before + spans[span] <= target) before += spans[span++];
    const int begin = span * SPAN, end = std::min(begin + SPAN, count);
    int64_t found = begin;
    for (int i = begin; i < end; i += LANES) {
        Floats weights = weights_of(x + i, end - i, most, scale);
        for (int lane = 0; lane < LANES && i + lane < end; lane++) {
            if (weights[lane] > 0) found = i + lane;
            before += weights[lane];
            if (weights[lane] > 0 && before > target) return found;
        }
    }
    return found;
}

// The largest logit of each PATCH of a row.
template <class T>
inline void find_maxima(const T* x, int count, std::vector<float>& maxima) {
    maxima.resize((count + PATCH - 1) / PATCH);
    for (size_t p = 0; p < maxima.size(); p++)
        maxima[p] = largest_of(x + p * PATCH, std::min(PATCH, count - (int)p * PATCH));
}

// A bound that at least `wanted` logits reach, and few more: as many patches hold one of at least it.
inline float bound_of(const std::vector<float>& maxima, int wanted) {
    if (wanted <= 0 || (int)maxima.size() <= wanted) return -INFINITY;
    std::vector<float> sorted = maxima;
    std::nth_element(sorted.begin(), sorted.begin() + wanted - 1, sorted.end(), std::greater<float>());
    return sorted[wanted - 1];
}

// The likeliest tokens of a row, in the order of the vocabulary.
struct Candidates {
    std::vector<int> ids;
    std::vector<float> logits, weights;

    // Take every logit of at least `cut`, looking only where there is one.
    template <class T>
    void collect(const T* x, int vocab, float cut, const std::vector<float>& maxima, float scale) {
        ids.resize(vocab + LANES);
        logits.resize(vocab + LANES);
        int count = 0;
        for (size_t p = 0; p < maxima.size(); p++) {
            if (maxima[p] < cut) continue;
            for (int i = (int)p * PATCH; i < std::min((int)(p + 1) * PATCH, vocab); i += LANES)
                count += keep_from(padded(x + i, vocab - i, -INFINITY), cut, i, logits.data() + count, ids.data() + count);
        }
        while (count > 0 && ids[count - 1] >= vocab) count--;  // the padding, which is last
        ids.resize(count);
        logits.resize(count);
        weights.resize(count + LANES);
        const float most = largest_of(maxima.data(), (int)maxima.size());
        for (int i = 0; i < count; i += LANES) store(&weights[i], weights_of(&logits[i], count - i, most, scale));
        weights.resize(count);
    }

    double weight_from(float floor) const {
        double total = 0;
        for (size_t i = 0; i < ids.size(); i++) total += logits[i] >= floor ? weights[i] : 0.0f;
        return total;
    }
};

struct Weighted {
    float logit, weight;
};

// The least logit such that the weight of all larger ones is less than `target`, or the largest: a quickselect by weight.
// It ends for whatever numbers there are, NaN among them: each round but the last leaves fewer.
inline float nucleus_floor(std::vector<Weighted>& found, double target) {
    double above = 0;
    auto begin = found.begin(), end = found.end();
    if (begin == end) return -INFINITY;
    for (;;) {
        const float a = begin->logit, b = begin[(end - begin) / 2].logit, c = end[-1].logit;
        const float pivot = std::max(std::min(a, b), std::min(std::max(a, b), c));
        auto equal = std::partition(begin, end, [=](Weighted w) { return w.logit > pivot; });
        auto less = std::partition(equal, end, [=](Weighted w) { return w.logit == pivot; });
        double larger = 0, same = 0;
        for (auto w = begin; w != equal; ++w) larger += w->weight;
        for (auto w = equal; w != less; ++w) same += w->weight;
        if (above + larger >= target && equal != begin) {
            end = equal;
        } else if (above + larger + same >= target || less == end || less == begin) {
            return pivot;
        } else {
            above += larger + same;
            begin = less;
        }
    }
}

struct Filter {
    int64_t top_k;
    float top_p, min_p;

    bool cuts(int vocab) const { return (top_k > 0 && top_k < vocab) || top_p < 1 || min_p > 0; }

    // The least logit that passes, given candidates that hold at least all that do.
    float floor(const Candidates& found, double total, float most, float scale) const {
        float least = min_p > 0 ? most + std::log(min_p) / scale : -INFINITY;
        double mass = total;
        if (top_k > 0 && top_k <= (int64_t)found.logits.size()) {
            std::vector<float> sorted = found.logits;
            std::nth_element(sorted.begin(), sorted.begin() + top_k - 1, sorted.end(), std::greater<float>());
            least = std::max(least, sorted[top_k - 1]);
            mass = found.weight_from(sorted[top_k - 1]);
        } else if (top_k > 0) {
            mass = found.weight_from(-INFINITY);
        }
        if (top_p < 1) {
            std::vector<Weighted> all(found.logits.size());
            for (size_t i = 0; i < all.size(); i++) all[i] = {found.logits[i], found.weights[i]};
            least = std::max(least, nucleus_floor(all, top_p * mass));
        }
        return least;
    }
};

template <class T>
inline double whole_weight(const T* x, int count, float most, float scale, std::vector<double>& spans) {
    spans.resize((count + SPAN - 1) / SPAN);
    double total = 0;
    for (size_t s = 0; s < spans.size(); s++) {
        spans[s] = span_weight(x + s * SPAN, std::min(SPAN, count - (int)s * SPAN), most, scale);
        total += spans[s];
    }
    return total;
}

// Draw from what passes the filter; `floor` becomes the least logit that does.
template <class T>
inline int64_t draw_filtered(
    const T* x, int count, const std::vector<float>& maxima, const Filter& filter, double total, double uniform, float most,
    float scale, float& floor
) {
    Candidates found;
    if (filter.top_k > 0) {
        found.collect(x, count, bound_of(maxima, (int)std::min<int64_t>(filter.top_k, count)), maxima, scale);
    } else {
        // Within so many nats of the likeliest there is nearly always enough, and not much more.
        float nats = filter.top_p < 1 ? 6 : -std::log(filter.min_p);
        for (;; nats *= 2) {
            const float cut = nats < 80 ? most - nats / scale : -INFINITY;
            found.collect(x, count, cut, maxima, scale);
            if (cut == -INFINITY || filter.top_p >= 1 || found.weight_from(-INFINITY) >= filter.top_p * total) break;
        }
    }
    floor = filter.floor(found, total, most, scale);
    const double target = uniform * found.weight_from(floor);
    double before = 0;
    int64_t token = 0;
    for (size_t i = 0; i < found.ids.size(); i++) {
        if (found.logits[i] < floor || found.weights[i] <= 0) continue;
        token = found.ids[i];
        before += found.weights[i];
        if (before > target) break;
    }
    return token;
}

// A row as floats, -inf where its mask has no bit.
template <class T>
inline void widen_row(const T* x, float* out, int vocab, const uint32_t* bits) {
    const Words lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    for (int i = 0; i < vocab; i += LANES) {
        Floats value = padded(x + i, vocab - i, 0.0f);
        if (bits) value = select((Ints)(((bits[i / 32] >> (i % 32)) >> lanes) & 1u) != 0, value, splat(-INFINITY));
        store_first(out + i, value, vocab - i);
    }
}

inline void penalize_row(float* x, const Changes& c, int64_t row, int vocab) {
    constexpr uint32_t SEEN = 1u << 31;
    static thread_local std::vector<uint32_t> notes;  // of each token how often the output has it, and whether any has
    notes.resize(std::max<size_t>(notes.size(), vocab));
    const float repetition = c.repetition[row], presence = c.presence[row], frequency = c.frequency[row];
    const int64_t begin = repetition != 1 ? c.begins[row] : c.outputs[row], end = c.begins[row + 1];
    for (int64_t i = begin; i < end; i++) notes[c.tokens[i]] = (notes[c.tokens[i]] + (i >= c.outputs[row])) | SEEN;
    for (int64_t i = begin; i < end; i++) {
        uint32_t& note = notes[c.tokens[i]];
        if (!note) continue;
        float& logit = x[c.tokens[i]];
        if (repetition != 1) logit = logit > 0 ? logit / repetition : logit * repetition;
        if (const uint32_t times = note & ~SEEN) logit -= presence + frequency * times;
        note = 0;
    }
}

inline bool changes_row(const Changes& c, int64_t row) {
    return c.bits_of[row] >= 0 || c.biased_begins[row] < c.biased_begins[row + 1] || c.begins[row] < c.begins[row + 1];
}

template <class T>
inline void change_row(const T* x, float* out, const Changes& c, int64_t row, int vocab) {
    widen_row(x, out, vocab, c.bits_of[row] < 0 ? nullptr : c.bits + c.bits_of[row] * ((vocab + 31) / 32));
    for (int64_t i = c.biased_begins[row]; i < c.biased_begins[row + 1]; i++) out[c.biased[i]] += c.biases[i];
    penalize_row(out, c, row, vocab);
}

template <class T>
void change(const ChangeArguments& a) {
    share_out(a.rows, 1, [&](int64_t row) {
        change_row((const T*)a.logits + row * a.vocab, a.out + row * a.vocab, *a.changes, row, a.vocab);
    });
}

template <class T>
inline void draw_row(const DrawArguments& a, const T* x, int64_t row) {
    std::vector<float> maxima;
    find_maxima(x, a.vocab, maxima);
    const float most = largest_of(maxima.data(), (int)maxima.size()), scale = a.scales[row];
    const Filter filter = {a.top_k[row], a.top_p[row], a.min_p[row]};
    const bool cuts = filter.cuts(a.vocab);
    std::vector<double> spans;
    double total = 0;
    if (!cuts || (filter.top_p < 1 && filter.top_k == 0)) total = whole_weight(x, a.vocab, most, scale, spans);
    a.floors[row] = -INFINITY;
    a.tokens[row] = cuts
        ? draw_filtered(x, a.vocab, maxima, filter, total, a.uniforms[row], most, scale, a.floors[row])
        : place_of(x, a.vocab, spans, a.uniforms[row] * total, most, scale);
    a.chosen[row] = widen(x[a.tokens[row]]);
}

template <class T>
void draw(const DrawArguments& a) {
    share_out(a.rows, 1, [&](int64_t row) {
        const T* x = (const T*)a.logits + row * a.vocab;
        if (!a.changes || !changes_row(*a.changes, row)) return draw_row(a, x, row);
        static thread_local std::vector<float> changed;  // stays in the second-level cache
        changed.resize(std::max<size_t>(changed.size(), a.vocab));
        change_row(x, changed.data(), *a.changes, row, a.vocab);
        draw_row(a, changed.data(), row);
    });
}

// The largest logits of a row, falling, of equals the first first.
template <class T>
inline void top_row(const T* x, int vocab, const std::vector<float>& maxima, int count, float* values, int64_t* ids) {
    if (count == 0) return;
    const float least = bound_of(maxima, count);
    std::vector<std::pair<float, int64_t>> passed;
    for (size_t p = 0; p < maxima.size(); p++) {
        if (maxima[p] < least) continue;
        for (int i = (int)p * PATCH; i < std::min((int)(p + 1) * PATCH, vocab); i++)
            if (widen(x[i]) >= least) passed.emplace_back(-widen(x[i]), i);
    }
    std::partial_sort(passed.begin(), passed.begin() + count, passed.end());
    for (int i = 0; i < count; i++) {
        values[i] = -passed[i].first;
        ids[i] = passed[i].second;
    }
}

template <class T>
void top(const TopArguments& a) {
    share_out(a.rows, 1, [&](int64_t row) {
        const T* x = (const T*)a.logits + row * a.vocab;
        std::vector<float> maxima;
        find_maxima(x, a.vocab, maxima);
        top_row(x, a.vocab, maxima, a.count, a.values + row * a.count, a.ids + row * a.count);
    });
}

template <class T>
void describe(const DescribeArguments& a) {
    share_out(a.rows, 1, [&](int64_t row) {
        const T* x = (const T*)a.logits + row * a.vocab;
        std::vector<float> maxima;
        find_maxima(x, a.vocab, maxima);
        top_row(x, a.vocab, maxima, a.count, a.values + row * a.count, a.ids + row * a.count);
        const float most = largest_of(maxima.data(), (int)maxima.size()), own = widen(x[a.tokens[row]]);
        double total = 0;
        Ints more{};
        for (int begin = 0; begin < a.vocab; begin += SPAN) {
            Floats weights{};
            for (int i = begin; i < std::min(begin + SPAN, a.vocab); i += LANES) {
                const Floats logits = padded(x + i, a.vocab - i, -INFINITY);
                weights += exponential(logits - most);
                more -= logits >= own;  // a comparison gives -1
            }
            total += sum(weights);
        }
        a.totals[row] = most + (float)std::log(total);
        a.ranks[row] = std::min(sum(more), a.vocab);  // the padding counts where the token cannot come at all
    });
}

}  // namespace portico::PORTICO_ISA
