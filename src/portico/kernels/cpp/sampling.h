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

// A bound that at least `wanted` logits reach, and few more: as many patches hold one of at least it.
template <class T>
inline float bound_of(const T* x, int count, int wanted, std::vector<float>& maxima) {
    maxima.resize((count + PATCH - 1) / PATCH);
    for (size_t p = 0; p < maxima.size(); p++)
        maxima[p] = largest_of(x + p * PATCH, std::min(PATCH, count - (int)p * PATCH));
    if ((int)maxima.size() <= wanted) return -INFINITY;
    std::vector<float> sorted = maxima;
    std::nth_element(sorted.begin(), sorted.begin() + wanted - 1, sorted.end(), std::greater<float>());
    return sorted[wanted - 1];
}

// The likeliest tokens of a row, in the order of the vocabulary.
struct Candidates {
    std::vector<int> ids;
    std::vector<float> logits, weights;

    // Take every logit of at least `cut`.
    template <class T>
    void collect(const T* x, int vocab, float cut, float most, float scale) {
        ids.resize(vocab + LANES);
        logits.resize(vocab + LANES);
        int count = 0;
        for (int i = 0; i < vocab; i += LANES)
            count += keep_from(padded(x + i, vocab - i, -INFINITY), cut, i, logits.data() + count, ids.data() + count);
        if (cut == -INFINITY) count = std::min(count, vocab);  // not the padding, which is last
        ids.resize(count);
        logits.resize(count);
        weights.resize(count + LANES);
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

// The least logit such that the weight of all larger ones is less than `target`: a quickselect by weight.
inline float nucleus_floor(std::vector<Weighted>& found, double target) {
    double above = 0;
    auto begin = found.begin(), end = found.end();
    for (;;) {
        const float a = begin->logit, b = begin[(end - begin) / 2].logit, c = end[-1].logit;
        const float pivot = std::max(std::min(a, b), std::min(std::max(a, b), c));
        auto equal = std::partition(begin, end, [=](Weighted w) { return w.logit > pivot; });
        auto less = std::partition(equal, end, [=](Weighted w) { return w.logit == pivot; });
        double larger = 0, same = 0;
        for (auto w = begin; w != equal; ++w) larger += w->weight;
        for (auto w = equal; w != less; ++w) same += w->weight;
        if (above + larger >= target) {
            end = equal;
        } else if (above + larger + same >= target || less == end) {
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
    const T* x, int count, const Filter& filter, double total, double uniform, float most, float scale, float& floor
) {
    Candidates found;
    if (filter.top_k > 0) {
        std::vector<float> maxima;
        found.collect(x, count, bound_of(x, count, (int)std::min<int64_t>(filter.top_k, count), maxima), most, scale);
    } else {
        // Within so many nats of the likeliest there is nearly always enough, and not much more.
        float nats = filter.top_p < 1 ? 6 : -std::log(filter.min_p);
        for (;; nats *= 2) {
            const float cut = nats < 80 ? most - nats / scale : -INFINITY;
            found.collect(x, count, cut, most, scale);
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

template <class T>
void draw(const DrawArguments& a) {
    share_out(a.rows, 1, [&](int64_t row) {
        const T* x = (const T*)a.logits + row * a.vocab;
        const float most = largest_of(x, a.vocab), scale = a.scales[row];
        const Filter filter = {a.top_k[row], a.top_p[row], a.min_p[row]};
        const bool cuts = filter.cuts(a.vocab);
        std::vector<double> spans;
        double total = 0;
        if (!cuts || (filter.top_p < 1 && filter.top_k == 0)) total = whole_weight(x, a.vocab, most, scale, spans);
        a.floors[row] = -INFINITY;
        a.tokens[row] = cuts
            ? draw_filtered(x, a.vocab, filter, total, a.uniforms[row], most, scale, a.floors[row])
            : place_of(x, a.vocab, spans, a.uniforms[row] * total, most, scale);
    });
}

template <class T>
void describe(const DescribeArguments& a) {
    share_out(a.rows, 1, [&](int64_t row) {
        const T* x = (const T*)a.logits + row * a.vocab;
        const float most = largest_of(x, a.vocab), own = widen(x[a.tokens[row]]);
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

template <class T>
void widen_all(const WidenArguments& a) {
    share_out(a.rows, rows_worth_sharing(a.width), [&](int64_t row) {
        const T* x = (const T*)a.x + row * a.width;
        float* out = a.out + row * a.width;
        for (int i = 0; i < a.width; i += LANES) store_first(out + i, padded(x + i, a.width - i, 0), a.width - i);
    });
}

inline void mask(const MaskArguments& a) {
    const int words = (a.vocab + 31) / 32;
    const Words lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    share_out(a.rows, 1, [&](int64_t row) {
        float* x = a.logits + row * a.vocab;
        const uint32_t* bits = a.bits + row * words;
        int i = 0;
        for (; i + LANES <= a.vocab; i += LANES) {
            const Words set = ((bits[i / 32] >> (i % 32)) >> lanes) & 1u;
            store(x + i, select((Ints)set != 0, load(x + i), splat(-INFINITY)));
        }
        for (; i < a.vocab; i++)
            if (!(bits[i / 32] >> (i % 32) & 1u)) x[i] = -INFINITY;
    });
}

inline void penalize(const PenalizeArguments& a) {
    share_out(a.rows, 1, [&](int64_t row) {
        constexpr uint32_t SEEN = 1u << 31;
        static thread_local std::vector<uint32_t> notes;  // of each token how often the output has it, and whether any has
        notes.resize(std::max<size_t>(notes.size(), a.vocab));
        const float repetition = a.repetition[row], presence = a.presence[row], frequency = a.frequency[row];
        const int64_t begin = repetition != 1 ? a.begins[row] : a.outputs[row], end = a.begins[row + 1];
        for (int64_t i = begin; i < end; i++) notes[a.tokens[i]] = (notes[a.tokens[i]] + (i >= a.outputs[row])) | SEEN;
        for (int64_t i = begin; i < end; i++) {
            uint32_t& note = notes[a.tokens[i]];
            if (!note) continue;
            float& logit = a.logits[row * a.vocab + a.tokens[i]];
            if (repetition != 1) logit = logit > 0 ? logit / repetition : logit * repetition;
            if (const uint32_t times = note & ~SEEN) logit -= presence + frequency * times;
            note = 0;
        }
    });
}

template <class T>
void top(const TopArguments& a) {
    share_out(a.rows, 1, [&](int64_t row) {
        const T* x = (const T*)a.logits + row * a.vocab;
        std::vector<float> maxima;
        const float least = bound_of(x, a.vocab, a.count, maxima);
        std::vector<std::pair<float, int64_t>> passed;
        for (size_t p = 0; p < maxima.size(); p++) {
            if (maxima[p] < least) continue;
            for (int i = (int)p * PATCH; i < std::min((int)(p + 1) * PATCH, a.vocab); i++)
                if (widen(x[i]) >= least) passed.emplace_back(-widen(x[i]), i);
        }
        std::partial_sort(passed.begin(), passed.begin() + a.count, passed.end());  // largest first, of equals the first
        for (int i = 0; i < a.count; i++) {
            a.values[row * a.count + i] = -passed[i].first;
            a.ids[row * a.count + i] = passed[i].second;
        }
    });
}

}  // namespace portico::PORTICO_ISA
