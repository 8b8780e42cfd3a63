// 1×1 convolutions of ImageNet's bottleneck blocks, with the normalisation and ReLU before them and with the sums that the normalisation after
// them needs, for the channels where memory limits them more than arithmetic, or as much (64 and 256, 128 and 512): forward and by the input.
// Without a normalisation before, maps are taken and gradients given as they are.
//
// A block keeps its weights in shared memory and goes over every block_count()th tile of pixels: it makes the tile's input from what the
// convolution before left, multiplies, and does the rest of the work on the rounded result, eight channels a thread. Of 256 and 512 channels,
// with which blocks end, pixels are shared among threads as in norm.cu: where a part of a network ends, sums by norm.cu have the same bits.
#include "eight.h"
#include "tile.h"

template <int TERMS>
struct Slab : PointwiseShape<TERMS> {
  using PointwiseShape<TERMS>::HERE;
  using PointwiseShape<TERMS>::PIXELS;
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

// Pixels from `first` on: `make` makes of what `read` reads at a place in the maps what stands there; zeros after the last pixel. AHEAD reads
// are on their way at a time, as in Place::each.
template <int TERMS, int AHEAD, typename Read, typename Make>
DEVICE void fill_slab(Words* slab, int first, int pixels, Read read, Make make) {
  using S = Slab<TERMS>;
  constexpr int STEP = THREADS / S::TERM_UNITS;
  static_assert(S::PIXELS / STEP % AHEAD == 0, "");
  const int unit = thread_id() % S::TERM_UNITS;
#pragma unroll 1
  for (int pixel = thread_id() / S::TERM_UNITS; pixel < S::PIXELS; pixel += STEP * AHEAD) {
    decltype(read(0ll)) found[AHEAD];
#pragma unroll
    for (int i = 0; i < AHEAD; ++i) {
      const int at = first + pixel + i * STEP;
      if (at < pixels) found[i] = read((long long)at * S::TERM_UNITS + unit);
    }
#pragma unroll
    for (int i = 0; i < AHEAD; ++i) {
      const int at = first + pixel + i * STEP;
      slab[swizzled<S::TERM_UNITS>(pixel + i * STEP, unit)] = at < pixels ? make(found[i], (long long)at * S::TERM_UNITS + unit) : Words{};
    }
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

// Multiplies what `fill` puts into the slab. All threads may read the results afterwards, and have read those of the tile before.
template <int TERMS, bool BACK, typename Fill>
DEVICE void work_on_tile(const SlabMemory<TERMS>& memory, Fill fill) {
  fill();
  wait_for_copies();
  sync_block();
  multiply_slab<TERMS, BACK>(memory.results, memory.slab, memory.weights);
  sync_block();
}

// Maps as they are, or normalised; kept where `keep` says so.
template <int TERMS>
DEVICE void fill_with_input(const Pointwise& p, Words* slab, int first, bool keep) {
  const auto as_it_is = [&](long long at) { return p.x[at]; };
  if (!p.before.mean) return fill_slab<TERMS, 2>(slab, first, p.pixels, as_it_is, [](const Words& x, long long) { return x; });
  const Affine affine(p.before, thread_id() % Slab<TERMS>::TERM_UNITS);
  const auto read = [&](long long at) {
    Addends read{p.x[at]};
    if (p.shortcut) read.shortcut = p.shortcut[at];
    return read;
  };
  fill_slab<TERMS, 2>(slab, first, p.pixels, read, [&](const Addends& read, long long at) {
    const Words made = affine.activated(read.x, read.shortcut, true);
    if (keep) p.y[at] = made;
    return made;
  });
}

template <int TERMS>
DEVICE void pointwise_forward(const Pointwise& p) {
  using S = Slab<TERMS>;
  const SlabMemory<TERMS> memory;
  const Place place(S::RESULTS, S::UNITS);
  wait_for_kernel_before();
  let_next_kernel_start();
  copy_pointwise_weights<TERMS, false>(memory.weights, p.weights);
  // The first pixel is the origin of the sums, as in norm.cu: every block begins with a tile that it does not keep.
  float origin[8];
  Sums sums;
  bool begun = false;
  for (int tile = 0; tile * S::PIXELS < p.pixels; tile = begun ? tile + block_count() : block_id(), begun = true) {
    work_on_tile<TERMS, false>(memory, [&] { fill_with_input<TERMS>(p, memory.slab, tile * S::PIXELS, begun && block_row() == 0); });
    if (!begun) {
      const Words pixel = memory.results[swizzled<S::UNITS>(0, place.eight - place.first)];
      for (int i = 0; i < 8; ++i) origin[i] = part(pixel, i);
      continue;
    }
    for (int pixel = place.slot; pixel < S::PIXELS && tile * S::PIXELS + pixel < p.pixels; pixel += place.slots) {
      const Words z = memory.results[swizzled<S::UNITS>(pixel, place.eight - place.first)];
      p.z[place.at(tile * S::PIXELS + pixel)] = z;
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
    const int first = tile * S::PIXELS, last = first + S::PIXELS < p.pixels ? first + S::PIXELS : p.pixels;
    work_on_tile<TERMS, true>(memory, [&] {
      fill_slab<TERMS, 2>(memory.slab, first, p.pixels, [&](long long at) { return p.dz[at]; }, [](const Words& dz, long long) { return dz; });
    });
    const auto result = [&](int pixel) { return memory.results[swizzled<S::UNITS>(pixel - first, place.eight - place.first)]; };
    if (!normalised) {
      for (int pixel = first + place.slot; pixel < last; pixel += place.slots) p.gradient[place.at(pixel)] = result(pixel);
      continue;
    }
    const Affine affine(p.before, place.eight);
    const auto read = [&](long long at) { return read_gradient(p.x, nullptr, p.more, p.sign, at); };
    for (int start = first + place.slot; start < last; start += 2 * place.slots) {
      int pixel = start;
      place.several<2>(start, place.slots, last, read, [&](GradientWords& read, long long at) {
        float g[8];
        read.dy = result(pixel);
        let_through(g, read, p.more, p.sign, affine, true);
        sums.take(g, read.x, affine);
        p.gradient[at] = packed(g);
        pixel += place.slots;
      });
    }
  }
  // Weights may be on their way to memory that the sums take.
  wait_for_copies();
  sync_block();
  if (!normalised) return;
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
