// What each kernel is told: one structure by value, the same for CUDA, for the emulator and for who launches it (parameters.rs mirrors them).
// Pointers are to the memory of the device. A feature map is [images, rows, columns, channels] of bfloat16, channels divisible by 8.
#pragma once

typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned char u8;

constexpr int THREADS = 256;

// Of normalisation: eights of channels that a block works on (those that follow are the next row's of the grid), and pixels of a block that
// follow each other, by those that it works on at a time.
constexpr int MOST_EIGHTS = 32, RUN = 8;

// Of 1×1 convolutions, by the channels that are summed over: channels of the result, those of a block (the others are the next row's of the
// grid), and the pixels that it works on at a time.
template <int TERMS>
struct PointwiseShape {
  static constexpr int RESULTS = TERMS == 64 ? 256 : TERMS == 128 ? 512 : TERMS == 256 ? 64 : 128;
  static constexpr int HERE = RESULTS >= 256 ? 256 : 64, PIXELS = TERMS == 512 ? 32 : 64;
};

// Eight bfloat16: what a thread reads and writes at a time.
struct alignas(16) Words {
  u32 v[4];
};

// A batch normalisation: [channels] float32 each. y = (x - mean) · factor + beta.
struct NormState {
  const float *gamma, *beta;
  float *mean, *inverse, *factor;            // of the batch; inverse = 1 / deviation, factor = gamma · inverse
  float *running_mean, *running_variance;    // null: left alone
  float *slope, *offset, *d_gamma, *d_beta;  // of the gradient: dx = dy · factor + (x - mean) · slope + offset
  float* partial;                            // [blocks][2][channels]
  u32* counter;                              // 0 between kernels
  int rows, channels;                        // pixels of the batch
  float momentum, epsilon;
};

// Batch normalisation, shortcut and ReLU.
struct Norm {
  NormState state;
  const Words *x, *shortcut;      // shortcut: null for none
  Words* y;
  const Words *sign, *dy, *more;  // backward: y where a shortcut decides its sign, else null; gradients of y's two consumers, or one and null
  Words *masked, *dx;             // masked: null if nobody needs the gradient that ReLU let through
  int relu;
};

// What a shortcut adds to maps of `channels` channels: maps of the same shape, or (option A) of twice the side and half the channels, of
// which every second pixel counts, with zeros before and after its channels.
struct Shortcut {
  const Words* maps;  // null for none
  int widens;
};

// Maps that a layer takes: `maps` themselves, or where there is a `mean`, ReLU of (maps - mean) · factor + beta + shortcut.
struct Activation {
  const Words* maps;
  const float *mean, *factor, *beta;  // null: as they are
  Shortcut shortcut;
  Words* made;                        // where the result is kept, null where nobody needs it
};

// The gradient of a convolution's output: gradient · factor + (maps - mean) · slope + offset, `gradient` being that of the normalisation's
// output and `maps` the convolution's output.
struct OutputGradient {
  const Words *gradient, *maps;
  const float *mean, *factor, *slope, *offset;
};

// A convolution, forward or by its input.
struct Convolution {
  Activation input;        // forward
  const float* images;     // forward of the first layer, instead of `input`
  OutputGradient output;   // by its input
  const u16* weights;      // [outputs][3][3][inputs] of bfloat16
  u32* result;             // the convolution's output; or the gradient by the normalisation's output of the layer before, after ReLU's part
  NormState norm;          // forward: this layer's; by its input: that of the layer before
  const u32* before;       // by its input, of the layer before: its convolution's output,
  const u32* sign;         // its output where a shortcut was added, null elsewhere,
  const u32* more;         // the gradient that comes through a shortcut, null for none,
  int more_narrows;        // and whether that shortcut is one that widens
  int images_count;
};

// A convolution by its weights.
struct WeightGradient {
  Activation input;       // as the forward pass took it
  const float* images;    // of the first layer, instead
  OutputGradient output;
  float* partial;         // [blocks][outputs][3][3][inputs]
  int images_count;
};

// A 1×1 convolution of ImageNet's nets, forward with the normalisation, shortcut and ReLU before it, or by its input with theirs. Where
// before.mean is null there is no normalisation before: x is what is convolved, and `gradient` that by x.
struct Pointwise {
  NormState before, after;      // of its input; of its output: forward
  const Words *x, *shortcut;    // what is normalised; forward: what is then added, null for none
  Words* y;                     // forward: what that makes
  const u16* weights;           // [outputs][inputs] of bfloat16
  Words* z;                     // forward: the convolution's output
  const Words *dz, *more;       // by its input: gradient of that; what else comes to y, null for none
  const Words* sign;            // y where a shortcut decides its sign, else null
  Words* gradient;              // by the normalisation's output, after ReLU's part
  int pixels;
};

// The end of the forward pass and the beginning of the backward pass.
struct Head {
  Activation input;             // the last convolution's output, its normalisation and shortcut
  const float *weights, *bias;  // [classes][64], [classes]
  const long long* labels;
  float *logits, *d_logits;     // [images][classes]; d_logits: of the mean loss
  float *pooled, *losses;       // [images][64]; [2][images]: losses, and whether another class is in front
  Words* gradient;              // by the normalisation's output
  NormState norm;               // of the last convolution
  int images_count, classes;
};

// One convolution's weights: `parts` vectors of `count` floats, to be added up in order; `offset`: where they are in the flat vector.
struct Parts {
  const float* from;
  long long offset, count, parts;
};

// The flat gradient from its parts.
struct Collect {
  const Parts* convolutions;
  float* gradient;  // flat
  // The fully connected layer's, from every image's: [images][classes], [images][channels], [2][images].
  const float *d_logits, *pooled, *losses;
  float *d_weights, *d_bias, *loss;  // loss: [2], the mean loss and how many images are wrong
  int convolutions_count, images_count, classes, channels;
};

// Decay, momentum and the update.
struct Update {
  float *parameters, *momentum_buffer;
  const float *gradient, *learning_rate;
  long long count;
  float momentum, weight_decay;
};

// A training batch out of images in memory.
struct Batch {
  const u8* pixels;         // [images][padded side][padded side][3]
  const long long* labels;  // [images]
  const float* mean;        // [padded side][padded side][3]
  const float* deviation;   // [3]
  const long long* plans;   // [iterations][batch size][4]: image, top, left, flip
  const long long* row;     // which iteration's it is
  float* images;            // [count][side][side][3]
  long long* picked;        // [count]: labels
  int start, count, batch_size, side, padded_side;
};
