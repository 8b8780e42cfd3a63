// 3×3 convolutions of CIFAR's nets (16, 32 and 64 channels, padding 1) as matrix multiplications in registers, forward and by their input,
// each with what comes before it while its input is read, and with what comes after it while its output is written.
//
// A block has some rows of an image: 512, 256 or 64 pixels. The layer's weights lie in shared memory whole, [tap][output][input], beside the
// tile of maps. A warp multiplies 16 pixels by 16 input channels of one tap at a time.
#include "tile.h"

// TERMS: channels that are summed over, RESULTS: of what is made, of SIDE × SIDE pixels.
template <int TERMS, int RESULTS, int SIDE, int ROWS>
struct Shape {
  static constexpr int PIXELS = ROWS * SIDE, TILES = SIDE / ROWS;
  static constexpr int WARPS_ACROSS = RESULTS == 64 ? 2 : 1, WARPS_DOWN = 8 / WARPS_ACROSS;
  // Of a warp: squares of 16 pixels, and of 8 channels.
  static constexpr int DOWN = PIXELS / 16 / WARPS_DOWN, ACROSS = RESULTS / 8 / WARPS_ACROSS;
  static_assert(DOWN * 16 * WARPS_DOWN == PIXELS && ACROSS % 2 == 0, "warps share the tile evenly");
};

// Weights do not depend on the kernel before, but for those of the first layer, which the cast that makes them comes right before.
template <int INPUTS, int OUTPUTS>
DEVICE void copy_weights(Words* to, const u16* from) {
  constexpr int UNITS = INPUTS / 8;
  for (int i = thread_id(); i < 9 * OUTPUTS * UNITS; i += THREADS) {
    const int unit = i % UNITS, tap = i / UNITS % 9, output = i / UNITS / 9;
    copy_ahead(&to[swizzled<UNITS>(tap * OUTPUTS + output, unit)], from + i * 8);
  }
}
DEVICE void widen_weights(Words* to, const u16* from) {
  for (int i = thread_id(); i < 9 * 16 * 2; i += THREADS) {
    const int unit = i % 2, tap = i / 2 % 9, output = i / 2 / 9;
    Words words{};
    if (unit == 0) {
      const u16* row = from + (output * 9 + tap) * 3;
      words.v[0] = row[0] | (u32)row[1] << 16;
      words.v[1] = row[2];
    }
    to[swizzled<2>(tap * 16 + output, unit)] = words;
  }
}

// The tile times the weights. A pixel of the result is at STEP times its place in the tile. BACK: weights from output to input, mirrored.
template <int TERMS, int RESULTS, int SIDE, int ROWS, int WIDTH, int STEP, bool BACK>
DEVICE void multiply_tile(float (&sums)[Shape<TERMS, RESULTS, SIDE, ROWS>::DOWN][Shape<TERMS, RESULTS, SIDE, ROWS>::ACROSS][4], const Words* tile,
                          const Words* weights) {
  using S = Shape<TERMS, RESULTS, SIDE, ROWS>;
  constexpr int UNITS = TERMS / 8, WEIGHT_UNITS = (BACK ? RESULTS : TERMS) / 8, OUTPUTS = BACK ? TERMS : RESULTS;
  const int lane = thread_id() % 32, warp = thread_id() / 32, down = warp % S::WARPS_DOWN, across = warp / S::WARPS_DOWN;
  // Unrolled nine times, registers would be spilled.
#pragma unroll 3
  for (int tap = 0; tap < 9; ++tap) {
#pragma unroll
    for (int k = 0; k < TERMS / 16; ++k) {
      u32 b[S::ACROSS / 2][4];
#pragma unroll
      for (int n = 0; n < S::ACROSS / 2; ++n) {
        const int channel = (across * S::ACROSS + n * 2) * 8;
        if (BACK) load_matrices<true>(b[n], &weights[swizzled<WEIGHT_UNITS>((8 - tap) * OUTPUTS + k * 16 + lane % 16, channel / 8 + lane / 16)]);
        else load_matrices<false>(b[n], &weights[swizzled<WEIGHT_UNITS>(tap * OUTPUTS + channel + lane % 8 + lane / 16 * 8, k * 2 + lane / 8 % 2)]);
      }
#pragma unroll
      for (int m = 0; m < S::DOWN; ++m) {
        const int pixel = (down * S::DOWN + m) * 16 + lane % 16;
        const int place = (pixel / SIDE * STEP + tap / 3) * WIDTH + pixel % SIDE * STEP + tap % 3;
        u32 a[4];
        load_matrices<false>(a, &tile[swizzled<UNITS>(place, k * 2 + lane / 16)]);
#pragma unroll
        for (int n = 0; n < S::ACROSS; ++n) multiply(sums[m][n], a, b[n / 2][n % 2 * 2], b[n / 2][n % 2 * 2 + 1]);
      }
    }
  }
}

// Gives `write` each pair of channels of the tile: (element index / 2, channel, pixel in the image, values), and adds up what it puts into
// (one, other) a channel over the block, for the last block.
template <int TERMS, int RESULTS, int SIDE, int ROWS, typename Write>
DEVICE void write_results(const NormState& norm, const float (&sums)[Shape<TERMS, RESULTS, SIDE, ROWS>::DOWN][Shape<TERMS, RESULTS, SIDE, ROWS>::ACROSS][4],
                          int image, int first, Write write) {
  using S = Shape<TERMS, RESULTS, SIDE, ROWS>;
  const int lane = thread_id() % 32, warp = thread_id() / 32, down = warp % S::WARPS_DOWN, across = warp / S::WARPS_DOWN;
  float one[S::ACROSS][2] = {}, other[S::ACROSS][2] = {};
#pragma unroll
  for (int n = 0; n < S::ACROSS; ++n) {
    const int channel = (across * S::ACROSS + n) * 8 + lane % 4 * 2;
#pragma unroll
    for (int m = 0; m < S::DOWN; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int pixel = first * SIDE + (down * S::DOWN + m) * 16 + lane / 4 + half * 8;
        const long long at = (((long long)image * SIDE * SIDE + pixel) * RESULTS + channel) / 2;
        write(at, channel, pixel, sums[m][n][half * 2], sums[m][n][half * 2 + 1], one[n], other[n]);
      }
  }
  // Over the rows of the warp, then over the warps in order.
#pragma unroll
  for (int n = 0; n < S::ACROSS; ++n)
    for (int j = 0; j < 2; ++j)
      for (int mask = 4; mask < 32; mask *= 2) {
        one[n][j] += shuffle_xor(one[n][j], mask);
        other[n][j] += shuffle_xor(other[n][j], mask);
      }
  sync_block();
  float* memory = (float*)shared();  // [2][WARPS_DOWN][RESULTS]
  if (lane < 4)
    for (int n = 0; n < S::ACROSS; ++n)
      for (int j = 0; j < 2; ++j) {
        const int channel = (across * S::ACROSS + n) * 8 + lane * 2 + j;
        memory[down * RESULTS + channel] = one[n][j];
        memory[(S::WARPS_DOWN + down) * RESULTS + channel] = other[n][j];
      }
  sync_block();
  if (thread_id() >= 2 * RESULTS) return;
  const int which = thread_id() / RESULTS, channel = thread_id() % RESULTS;
  float sum = 0;
  for (int w = 0; w < S::WARPS_DOWN; ++w) sum += memory[(which * S::WARPS_DOWN + w) * RESULTS + channel];
  norm.partial[(block_id() * 2 + which) * RESULTS + channel] = sum;
}

template <int INPUTS, int OUTPUTS, int SIDE, int ROWS, int STRIDE, bool FIRST>
DEVICE void forward(const Convolution& c) {
  constexpr int INPUT_SIDE = SIDE * STRIDE, WIDTH = (SIDE - 1) * STRIDE + 3, HEIGHT = (ROWS - 1) * STRIDE + 3, TILES = SIDE / ROWS;
  Words* weights = (Words*)shared();
  Words* tile = weights + 9 * OUTPUTS * (INPUTS / 8);
  if (!FIRST) copy_weights<INPUTS, OUTPUTS>(weights, c.weights);
  wait_for_kernel_before();
  let_next_kernel_start();
  const int image = block_id() / TILES, first = block_id() % TILES * ROWS, unit = thread_id() % (INPUTS / 8), top = first * STRIDE;
  if (FIRST) {
    widen_weights(weights, c.weights);
    fill_tile<INPUTS, INPUT_SIDE, HEIGHT, WIDTH, 1>(tile, ImageReader(c.images, INPUT_SIDE, unit), image, top - 1, -1, 0, 0);
  } else {
    const ActivationReader reader(c.input, INPUTS, INPUT_SIDE, unit);
    fill_tile<INPUTS, INPUT_SIDE, HEIGHT, WIDTH, 1>(tile, reader, image, top - 1, -1, top, top + ROWS * STRIDE);
  }
  wait_for_copies();
  sync_block();
  using S = Shape<INPUTS, OUTPUTS, SIDE, ROWS>;
  float sums[S::DOWN][S::ACROSS][4] = {};
  multiply_tile<INPUTS, OUTPUTS, SIDE, ROWS, WIDTH, STRIDE, false>(sums, tile, weights);
  const auto write = [&](long long at, int channel, int, float a, float b, float(&one)[2], float(&other)[2]) {
    const u32 stored = pack(a, b);
    c.result[at] = stored;
    for (int j = 0; j < 2; ++j) {
      const float centred = half_of_pair(stored, j) - c.norm.running_mean[channel + j];
      one[j] += centred;
      other[j] = fused(centred, centred, other[j]);
    }
  };
  write_results<INPUTS, OUTPUTS, SIDE, ROWS>(c.norm, sums, image, first, write);
  // The running mean as the origin: no pixel is known before all are computed.
  add_up_blocks(c.norm, [&](int at, double sum, double square) { finish_statistics(c.norm, at, c.norm.running_mean[at], sum, square); });
}

// The gradient that comes through the shortcut to this pixel's two channels.
template <int CHANNELS, int SIDE>
DEVICE u32 more_at(const Convolution& c, long long at, int image, int pixel, int channel) {
  if (!c.more) return 0;
  if (!c.more_narrows) return c.more[at];
  const int row = pixel / SIDE, column = pixel % SIDE;
  if (row % 2 || column % 2) return 0;
  return c.more[(((long long)image * (SIDE / 2) + row / 2) * (SIDE / 2) + column / 2) * CHANNELS + (channel + CHANNELS / 2) / 2];
}

// SIDE: of the input. What is made is the gradient by the output of the normalisation before, after ReLU's part, with the sums it needs.
template <int INPUTS, int OUTPUTS, int SIDE, int ROWS, int STRIDE>
DEVICE void backward(const Convolution& c) {
  constexpr int WIDTH = SIDE + 2, HEIGHT = ROWS + 2, TILES = SIDE / ROWS;
  Words* weights = (Words*)shared();
  Words* tile = weights + 9 * OUTPUTS * (INPUTS / 8);
  copy_weights<INPUTS, OUTPUTS>(weights, c.weights);
  wait_for_kernel_before();
  let_next_kernel_start();
  const int image = block_id() / TILES, first = block_id() % TILES * ROWS;
  const GradientReader reader(c.output, OUTPUTS, SIDE / STRIDE, thread_id() % (OUTPUTS / 8));
  fill_tile<OUTPUTS, SIDE, HEIGHT, WIDTH, STRIDE>(tile, reader, image, first - 1, -1, 0, 0);
  wait_for_copies();
  sync_block();
  using S = Shape<OUTPUTS, INPUTS, SIDE, ROWS>;
  float sums[S::DOWN][S::ACROSS][4] = {};
  multiply_tile<OUTPUTS, INPUTS, SIDE, ROWS, WIDTH, 1, true>(sums, tile, weights);
  const auto write = [&](long long at, int channel, int pixel, float a, float b, float(&one)[2], float(&other)[2]) {
    const u32 before = c.before[at], sign = c.sign ? c.sign[at] : 0, more = more_at<INPUTS, SIDE>(c, at, image, pixel, channel);
    float v[2] = {a, b};
    for (int j = 0; j < 2; ++j) {
      const float centred = half_of_pair(before, j) - c.norm.mean[channel + j];
      const float output = c.sign ? half_of_pair(sign, j) : fused(centred, c.norm.factor[channel + j], c.norm.beta[channel + j]);
      v[j] = output > 0 ? rounded(v[j] + half_of_pair(more, j)) : 0;
      one[j] += v[j];
      other[j] = fused(v[j], centred, other[j]);
    }
    c.result[at] = pack(v[0], v[1]);
  };
  write_results<OUTPUTS, INPUTS, SIDE, ROWS>(c.norm, sums, image, first, write);
  finish_all_gradients(c.norm);
}

KERNEL(2) forward_first(Convolution c) { forward<16, 16, 32, 16, 1, true>(c); }
KERNEL(2) forward_16(Convolution c) { forward<16, 16, 32, 16, 1, false>(c); }
KERNEL(2) forward_16_32(Convolution c) { forward<16, 32, 16, 16, 2, false>(c); }
KERNEL(2) forward_32(Convolution c) { forward<32, 32, 16, 16, 1, false>(c); }
KERNEL(1) forward_32_64(Convolution c) { forward<32, 64, 8, 8, 2, false>(c); }
KERNEL(2) forward_64(Convolution c) { forward<64, 64, 8, 8, 1, false>(c); }
KERNEL(2) backward_16(Convolution c) { backward<16, 16, 32, 16, 1>(c); }
KERNEL(2) backward_16_32(Convolution c) { backward<16, 32, 32, 16, 2>(c); }
KERNEL(2) backward_32(Convolution c) { backward<32, 32, 16, 16, 1>(c); }
KERNEL(1) backward_32_64(Convolution c) { backward<32, 64, 16, 16, 2>(c); }
KERNEL(2) backward_64(Convolution c) { backward<64, 64, 8, 8, 1>(c); }
