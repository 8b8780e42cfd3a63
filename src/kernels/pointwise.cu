// 1×1 convolutions of ImageNet's bottleneck blocks, with the normalisation and ReLU before them and with the sums that the normalisation after
// them needs, for the channels where memory and not arithmetic is their limit (64 and 256, 128 and 512): forward and by the input. Without a
// normalisation before, maps are taken and gradients given as they are.
//
// A block keeps its weights in shared memory and goes over every block_count()th tile of pixels: it makes the tile's input from what the
// convolution before left, multiplies, and does the rest of the work on the rounded result, eight channels a thread. Of 256 and 512 channels,
// with which blocks end, pixels are shared among threads as in norm.cu: where a part of a network ends, sums by norm.cu have the same bits.
#include "eight.h"
#include "tile.h"

// By the channels that are summed over. HERE: channels of the result that a block makes; the others are those of the next row of the grid.
template <int TERMS>
struct Slab {
  static constexpr int RESULTS = TERMS == 64 ? 256 : TERMS == 128 ? 512 : TERMS == 256 ? 64 : 128;
  static constexpr int HERE = RESULTS >= 256 ? 256 : 64, PIXELS = TERMS == 512 ? 32 : 64;
  static constexpr int TERM_UNITS = TERMS / 8, UNITS = HERE / 8;
  // Of a warp: squares of 16 pixels, and of 8 channels; two warps down, four across.
  static constexpr int DOWN = PIXELS / 32, ACROSS = HERE / 32;
  // Squares down at a time: with more, registers would be spilled.
  static constexpr int TOGETHER = ACROSS == 8 ? 1 : DOWN;
};

// Weights, [outputs][inputs], of the block's part of the result. BACK: inputs are what is made.
template <int TERMS, bool BACK>
DEVICE void copy_pointwise_weights(Words* to, const u16* from) {
  using S = Slab<TERMS>;
  constexpr int ROWS = BACK ? TERMS : S::HERE, UNITS = BACK ? S::UNITS : S::TERM_UNITS;
  for (int i = thread_id(); i < ROWS * UNITS; i += THREADS) {
    const int row = i / UNITS, unit = i % UNITS;
    const int at = BACK ? row * (S::RESULTS / 8) + block_row() * UNITS + unit : (block_row() * ROWS + row) * UNITS + unit;
    copy_ahead(&to[swizzled<UNITS>(row, unit)], from + at * 8);
  }
}

// Pixels from `first` on, which `make` makes of their place in the maps; zeros after the last.
template <int TERMS, typename Make>
DEVICE void fill_slab(Words* slab, int first, int pixels, Make make) {
  using S = Slab<TERMS>;
  const int unit = thread_id() % S::TERM_UNITS;
#pragma unroll 4
  for (int pixel = thread_id() / S::TERM_UNITS; pixel < S::PIXELS; pixel += THREADS / S::TERM_UNITS) {
    const bool there = first + pixel < pixels;
    slab[swizzled<S::TERM_UNITS>(pixel, unit)] = there ? make((long long)(first + pixel) * S::TERM_UNITS + unit) : Words{};
  }
}

// Slab times weights, rounded, to `results`: [PIXELS][HERE].
template <int TERMS, bool BACK>
DEVICE void multiply_slab(Words* results, const Words* slab, const Words* weights) {
  using S = Slab<TERMS>;
  constexpr int WEIGHT_UNITS = BACK ? S::UNITS : S::TERM_UNITS;
  const int lane = thread_id() % 32, warp = thread_id() / 32, down = warp % 2, across = warp / 2;
#pragma unroll 1
  for (int first = down * S::DOWN; first < (down + 1) * S::DOWN; first += S::TOGETHER) {
    float sums[S::TOGETHER][S::ACROSS][4] = {};
#pragma unroll 2
    for (int k = 0; k < TERMS / 16; ++k) {
      u32 a[S::TOGETHER][4];
#pragma unroll
      for (int m = 0; m < S::TOGETHER; ++m)
        load_matrices<false>(a[m], &slab[swizzled<S::TERM_UNITS>((first + m) * 16 + lane % 16, k * 2 + lane / 16)]);
#pragma unroll
      for (int n = 0; n < S::ACROSS; n += 2) {
        const int unit = across * S::ACROSS + n;
        u32 b[4];
        if (BACK) load_matrices<true>(b, &weights[swizzled<WEIGHT_UNITS>(k * 16 + lane % 16, unit + lane / 16)]);
        else load_matrices<false>(b, &weights[swizzled<WEIGHT_UNITS>(unit * 8 + lane % 8 + lane / 16 * 8, k * 2 + lane / 8 % 2)]);
#pragma unroll
        for (int m = 0; m < S::TOGETHER; ++m) {
          multiply(sums[m][n], a[m], b[0], b[1]);
          multiply(sums[m][n + 1], a[m], b[2], b[3]);
        }
      }
    }
#pragma unroll
    for (int m = 0; m < S::TOGETHER; ++m)
#pragma unroll
      for (int n = 0; n < S::ACROSS; ++n)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int pixel = (first + m) * 16 + lane / 4 + half * 8;
          results[swizzled<S::UNITS>(pixel, across * S::ACROSS + n)].v[lane % 4] = pack(sums[m][n][half * 2], sums[m][n][half * 2 + 1]);
        }
  }
}

// A block's memory: weights, a slab of the input, and what becomes of it.
template <int TERMS>
struct SlabMemory {
  Words *weights, *slab, *results;
  METHOD SlabMemory() : weights((Words*)shared()), slab(weights + TERMS * Slab<TERMS>::UNITS), results(slab + Slab<TERMS>::PIXELS * Slab<TERMS>::TERM_UNITS) {}
};

// Multiplies a tile. All threads may read the results afterwards, and have read those of the tile before.
template <int TERMS, bool BACK, typename Make>
DEVICE void work_on_tile(const SlabMemory<TERMS>& memory, int tile, int pixels, Make make) {
  fill_slab<TERMS>(memory.slab, tile * Slab<TERMS>::PIXELS, pixels, make);
  wait_for_copies();
  sync_block();
  multiply_slab<TERMS, BACK>(memory.results, memory.slab, memory.weights);
  sync_block();
}

template <int TERMS>
DEVICE void pointwise_forward(const Pointwise& p) {
  using S = Slab<TERMS>;
  const SlabMemory<TERMS> memory;
  const Place place(S::RESULTS, S::UNITS);
  wait_for_kernel_before();
  let_next_kernel_start();
  copy_pointwise_weights<TERMS, false>(memory.weights, p.weights);
  const bool first_row = block_row() == 0;
  const auto input = [&](bool keep) {
    return [&p, keep](long long at) {
      if (!p.before.mean) return p.x[at];
      Words shortcut{};
      if (p.shortcut) shortcut = p.shortcut[at];
      const Words made = Affine(p.before, at % S::TERM_UNITS).activated(p.x[at], shortcut, true);
      if (keep) p.y[at] = made;
      return made;
    };
  };
  // The first pixel is the origin of the sums, as in norm.cu: every block begins with a tile that it does not keep.
  float origin[8];
  work_on_tile<TERMS, false>(memory, 0, p.pixels, input(false));
  const Words pixel = memory.results[swizzled<S::UNITS>(0, place.eight - place.first)];
  for (int i = 0; i < 8; ++i) origin[i] = part(pixel, i);
  Sums sums;
  for (int tile = block_id(); tile * S::PIXELS < p.pixels; tile += block_count()) {
    work_on_tile<TERMS, false>(memory, tile, p.pixels, input(first_row));
    for (int pixel = place.slot; pixel < S::PIXELS && tile * S::PIXELS + pixel < p.pixels; pixel += place.slots) {
      const Words z = memory.results[swizzled<S::UNITS>(pixel, place.eight - place.first)];
      p.z[(long long)(tile * S::PIXELS + pixel) * place.all + place.eight] = z;
      sums.take(z, origin);
    }
  }
  sync_block();
  add_up_block(p.after, place, sums);
  add_up_blocks(p.after, [&](int c, double sum, double square) {
    finish_statistics(p.after, c, half_of_pair(load_fresh((const u32*)p.z + c / 2), c % 2), sum, square);
  });
}

template <int TERMS>
DEVICE void pointwise_backward(const Pointwise& p) {
  using S = Slab<TERMS>;
  const SlabMemory<TERMS> memory;
  const Place place(S::RESULTS, S::UNITS);
  wait_for_kernel_before();
  let_next_kernel_start();
  copy_pointwise_weights<TERMS, true>(memory.weights, p.weights);
  const bool normalised = p.before.mean;
  Sums sums;
  for (int tile = block_id(); tile * S::PIXELS < p.pixels; tile += block_count()) {
    work_on_tile<TERMS, true>(memory, tile, p.pixels, [&](long long at) { return p.dz[at]; });
    for (int pixel = place.slot; pixel < S::PIXELS && tile * S::PIXELS + pixel < p.pixels; pixel += place.slots) {
      const long long at = (long long)(tile * S::PIXELS + pixel) * place.all + place.eight;
      Words result = memory.results[swizzled<S::UNITS>(pixel, place.eight - place.first)];
      if (normalised) {
        const Affine affine(p.before, place.eight);
        const Words x = p.x[at];
        float g[8];
        let_through(g, result, p.more, p.sign, x, affine, at, true);
        sums.take(g, x, affine);
        result = packed(g);
      }
      p.gradient[at] = result;
    }
  }
  if (!normalised) return;
  sync_block();
  add_up_block(p.before, place, sums);
  finish_all_gradients(p.before);
}

KERNEL(2) pointwise_forward_64_256(Pointwise p) { pointwise_forward<64>(p); }
KERNEL(2) pointwise_forward_128_512(Pointwise p) { pointwise_forward<128>(p); }
KERNEL(2) pointwise_forward_256_64(Pointwise p) { pointwise_forward<256>(p); }
KERNEL(2) pointwise_forward_512_128(Pointwise p) { pointwise_forward<512>(p); }
// Named by inputs and outputs of the convolution.
KERNEL(2) pointwise_backward_64_256(Pointwise p) { pointwise_backward<256>(p); }
KERNEL(2) pointwise_backward_128_512(Pointwise p) { pointwise_backward<512>(p); }
KERNEL(2) pointwise_backward_256_64(Pointwise p) { pointwise_backward<64>(p); }
KERNEL(2) pointwise_backward_512_128(Pointwise p) { pointwise_backward<128>(p); }
