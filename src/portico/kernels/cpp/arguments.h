// What the kernels are called with: plain pointers and sizes, the same for every instruction set.
#pragma once

#include <cstdint>

namespace portico {

// Attention of `sequences` rows of a step over the paged cache, all in one dtype.
struct AttendArguments {
    const void* query;         // [tokens, heads, head_dim], tokens `query_stride` elements apart
    void* out;                 // [tokens, heads, head_dim], contiguous
    const void* pool;          // [blocks, 2, kv_heads, part]; a part is words of two bfloat16 or a float, of keys
                               // [head_dim in words][block_size], of values [block_size in words][head_dim]; of eight
                               // bits: scales [block_size], then words of four bytes, those of keys plus 128
    const int32_t* tables;     // [sequences, table_width]: the blocks of each sequence
    const int32_t* starts;     // [sequences]: position of the first query of each
    const int32_t* tokens;     // [sequences + 1]: its first query among the tokens
    int64_t query_stride;
    int sequences, table_width, heads, kv_heads, head_dim, block_size;
    int window;                // keys that a query sees, itself included; 0: all before it
    float scale;
    int keys;                  // a KeyFormat
};

// Between the product of q, k and v and attention: normalise and rotate queries and keys, store keys and values.
struct PrepareArguments {
    void* qkv;                 // [tokens, heads + 2 * kv_heads, head_dim]
    void* pool;                // as above
    const void* weight;        // [heads + kv_heads, head_dim], or null: no normalisation
    const void* cos;           // [tokens, head_dim]
    const void* sin;           // [tokens, head_dim], the first half negated
    const int64_t* slots;      // [tokens]: block * block_size + offset
    int tokens, heads, kv_heads, head_dim, block_size;
    float eps;
    int keys;                  // a KeyFormat
};

struct RmsNormArguments {
    void* x;                   // [rows, width]
    const void* added;         // [rows, width], added to x first, or null
    const void* weight;        // [width]
    void* out;                 // [rows, width]
    int64_t rows;
    int width;
    float eps;
};

struct SiluMulArguments {
    const void* gate_up;       // [rows, 2 * width], gate first
    void* out;                 // [rows, width]
    int64_t rows;
    int width;
};

// x W^T + b, with W packed by `pack_linear`.
struct LinearArguments {
    const void* weight;        // [outputs, inputs], to be packed
    void* packed;              // whole panels of outputs, whole words of inputs
    const void* x;             // [rows, inputs], rows `x_stride` elements apart
    const void* bias;          // [outputs], or null
    void* out;                 // [rows, outputs]
    int64_t rows, inputs, outputs, x_stride;
    int format;                // a WeightFormat
};

// What is done to the logits of each row before its token is drawn: first bits, then biases, then penalties.
struct Changes {
    const uint32_t* bits;      // [masks, (vocab + 31) / 32], the first token's lowest: tokens without one become -inf
    const int64_t* bits_of;    // [rows]: which of the masks; -1: none
    const int64_t* biased;     // tokens to which something is added, of row after row
    const float* biases;       // what is added
    const int64_t* biased_begins;  // [rows + 1]: the first of each row
    const int64_t* tokens;     // that have been there, of row after row, the prompt's before the output's
    const int64_t* begins;     // [rows + 1]: the first of each row
    const int64_t* outputs;    // [rows]: the first of its output
    const float* repetition;   // [rows]: what prompt and output are divided by, negative ones multiplied; 1: neither
    const float* presence;     // [rows]: what is subtracted once from those of the output
    const float* frequency;    // [rows]: and for each time
};

// A changed copy of logits.
struct ChangeArguments {
    const void* logits;        // [rows, vocab]
    const Changes* changes;
    float* out;                // [rows, vocab]
    int64_t rows;
    int vocab;
};

// The token at a place of the distribution softmax(logits * scale) of each row, cut to its likeliest tokens.
struct DrawArguments {
    const void* logits;        // [rows, vocab]
    const Changes* changes;    // or null: none
    const float* scales;       // [rows]: 1 / temperature
    const double* uniforms;    // [rows], of [0, 1)
    const int64_t* top_k;      // [rows]: so many of the likeliest; 0: all
    const float* top_p;        // [rows]: those of them that sum up to this; 1: all
    const float* min_p;        // [rows]: those at least this share of the likeliest; 0: all
    float* floors;             // [rows]: the least logit that is left
    float* chosen;             // [rows]: the token's logit, changed
    int64_t* tokens;           // [rows]: where the cumulated share exceeds the uniform number
    int64_t rows;
    int vocab;
};

// What there is to say of one token of each row, and the largest logits as below.
struct DescribeArguments {
    const void* logits;        // [rows, vocab]
    const int64_t* tokens;     // [rows]
    float* totals;             // [rows]: the logarithm of the sum of exp(logit)
    int64_t* ranks;            // [rows]: how many logits are at least the token's
    float* values;             // [rows, count]
    int64_t* ids;              // [rows, count]
    int64_t rows;
    int vocab, count;          // count is at most vocab
};

// The largest logits of each row, falling; of equals the first comes first.
struct TopArguments {
    const void* logits;        // [rows, vocab]
    float* values;             // [rows, count]
    int64_t* ids;              // [rows, count]
    int64_t rows;
    int vocab, count;          // count is at most vocab
};

enum Dtype : int { FLOAT32 = 0, BFLOAT16 = 1 };
enum WeightFormat : int { AS_IS = 0, INT8 = 1, INT4 = 2 };
enum KeyFormat : int { KEYS_AS_IS = 0, KEYS_INT8 = 1 };  // of values too

// A call of one of the kernels that a step of the model is made of.
enum Kernel : int { ATTEND = 0, PREPARE = 1, LINEAR = 2, RMS_NORM = 3, SILU_MUL = 4 };
struct Call {
    int kernel, dtype;
    const void* arguments;
};

// The kernels of one instruction set.
struct Kernels {
    void (*attend)(const AttendArguments&, Dtype);
    void (*prepare)(const PrepareArguments&, Dtype);
    bool (*pack_linear)(const LinearArguments&, Dtype);  // whether all weights are finite
    void (*linear)(const LinearArguments&, Dtype);
    void (*rms_norm)(const RmsNormArguments&, Dtype);
    void (*silu_mul)(const SiluMulArguments&, Dtype);
    void (*draw)(const DrawArguments&, Dtype);
    void (*top)(const TopArguments&, Dtype);
    void (*describe)(const DescribeArguments&, Dtype);
    void (*change)(const ChangeArguments&, Dtype);
    int64_t (*peak)(int format, Dtype);
};

}  // namespace portico
