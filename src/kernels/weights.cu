// The gradient of a 3×3 convolution's weights: squares of 16 outputs × 16 inputs for all nine taps in a warp's registers, pixels as what is
// summed over. A block goes over every block_count()th tile; what it found is added up by `collect` (update.cu), in the order of the blocks.
#include "tile.h"

// SIDE: of the output. block_row() says which squares are this block's. FIRST: 3 of the 16 input channels are there.
template <int INPUTS, int OUTPUTS, int SIDE, int ROWS, int STRIDE, bool FIRST>
DEVICE void weight_gradient(const WeightGradient& w) {
  constexpr int ACROSS = INPUTS / 16, SQUARES = ACROSS * (OUTPUTS / 16), HERE = SQUARES < 8 ? SQUARES : 8, SHARES = 8 / HERE;
  constexpr int INPUT_SIDE = SIDE * STRIDE, WIDTH = (SIDE - 1) * STRIDE + 3, HEIGHT = (ROWS - 1) * STRIDE + 3, TILES = SIDE / ROWS;
  constexpr int INPUT_UNITS = INPUTS / 8, OUTPUT_UNITS = OUTPUTS / 8, STEPS = ROWS * SIDE / 16;
  static_assert(STEPS % SHARES == 0, "warps share the pixels evenly");
  Words* x = (Words*)shared();
  Words* dz = x + WIDTH * HEIGHT * INPUT_UNITS;
  const int lane = thread_id() % 32, warp = thread_id() / 32, share = warp / HERE;
  const int square = block_row() * HERE + warp % HERE, output = square / ACROSS, input = square % ACROSS;
  float sums[9][2][4] = {};
  wait_for_kernel_before();
  let_next_kernel_start();
  for (int at = block_id(); at < w.images_count * TILES; at += block_count()) {
    const int image = at / TILES, first = at % TILES * ROWS, top = first * STRIDE;
    sync_block();
    if (FIRST) {
      fill_tile<INPUTS, INPUT_SIDE, HEIGHT, WIDTH, 1>(x, ImageReader(w.images, INPUT_SIDE, thread_id() % INPUT_UNITS), image, top - 1, -1, 0, 0);
    } else {
      fill_tile<INPUTS, INPUT_SIDE, HEIGHT, WIDTH, 1>(x, ActivationReader(w.input, INPUTS, INPUT_SIDE, thread_id() % INPUT_UNITS), image, top - 1, -1, 0, 0);
    }
    fill_tile<OUTPUTS, SIDE, ROWS, SIDE, 1>(dz, GradientReader(w.output, OUTPUTS, SIDE, thread_id() % OUTPUT_UNITS), image, first, 0, 0, 0);
    sync_block();
    for (int step = share; step < STEPS; step += SHARES) {
      // 16 output channels × 16 pixels, stored pixel by pixel.
      u32 a[4];
      load_matrices<true>(a, &dz[swizzled<OUTPUT_UNITS>(step * 16 + lane % 8 + lane / 16 * 8, output * 2 + lane / 8 % 2)]);
      const int pixel = step * 16 + lane % 16, place = pixel / SIDE * STRIDE * WIDTH + pixel % SIDE * STRIDE;
#pragma unroll
      for (int tap = 0; tap < 9; ++tap) {
        u32 b[4];
        load_matrices<true>(b, &x[swizzled<INPUT_UNITS>(place + tap / 3 * WIDTH + tap % 3, input * 2 + lane / 16)]);
        multiply(sums[tap][0], a, b[0], b[1]);
        multiply(sums[tap][1], a, b[2], b[3]);
      }
    }
  }
  // Over the warps with a share of the pixels each, in order.
  float* memory = (float*)shared();  // [HERE][9][16][16]
  for (int s = 0; s < SHARES; ++s) {
    sync_block();
    if (share == s)
#pragma unroll
      for (int tap = 0; tap < 9; ++tap)
        for (int n = 0; n < 2; ++n)
          for (int i = 0; i < 4; ++i) {
            float& to = memory[((warp % HERE * 9 + tap) * 16 + lane / 4 + i / 2 * 8) * 16 + n * 8 + lane % 4 * 2 + i % 2];
            to = s == 0 ? sums[tap][n][i] : to + sums[tap][n][i];
          }
  }
  sync_block();
  constexpr int STORED = FIRST ? 3 : INPUTS;
  for (int i = thread_id(); i < HERE * 9 * 256; i += THREADS) {
    const int tap = i / 256 % 9, s = block_row() * HERE + i / 256 / 9;
    const int o = s / ACROSS * 16 + i / 16 % 16, in = s % ACROSS * 16 + i % 16;
    if (in < STORED) w.partial[(((long long)block_id() * OUTPUTS + o) * 9 + tap) * STORED + in] = memory[i];
  }
}

KERNEL(1) weights_first(WeightGradient w) { weight_gradient<16, 16, 32, 16, 1, true>(w); }
KERNEL(1) weights_16(WeightGradient w) { weight_gradient<16, 16, 32, 16, 1, false>(w); }
KERNEL(1) weights_16_32(WeightGradient w) { weight_gradient<16, 32, 16, 16, 2, false>(w); }
KERNEL(1) weights_32(WeightGradient w) { weight_gradient<32, 32, 16, 16, 1, false>(w); }
KERNEL(1) weights_32_64(WeightGradient w) { weight_gradient<32, 64, 8, 8, 2, false>(w); }
KERNEL(1) weights_64(WeightGradient w) { weight_gradient<64, 64, 8, 8, 1, false>(w); }
