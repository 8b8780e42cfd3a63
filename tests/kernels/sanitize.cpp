// Runs every kernel on the emulator with memory of exactly the size that it may touch, for AddressSanitizer and UBSan:
//   c++ -std=c++17 -O1 -g -ffp-contract=off -fno-strict-aliasing -fsanitize=address,undefined -fno-sanitize-recover=all tests/kernels/sanitize.cpp
#include "../../src/kernels/emulate/launch.cpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace {

// Memory that is never freed, of exactly this size; numbers from -0.5 to 0.5.
u32 state = 1;
float number() {
  state = state * 1664525u + 1013904223u;
  return static_cast<float>(state >> 8) / (1 << 24) - 0.5f;
}
float* floats(size_t count) {
  float* memory = new float[count];
  for (size_t i = 0; i < count; ++i) memory[i] = number();
  return memory;
}
// One more than zero, so that inverse deviations are no infinities.
float* positive_floats(size_t count) {
  float* memory = floats(count);
  for (size_t i = 0; i < count; ++i) memory[i] += 1;
  return memory;
}
Words* maps(size_t values) {
  Words* memory = new Words[values / 8];
  for (size_t i = 0; i < values / 8; ++i)
    for (u32& pair : memory[i].v) {
      const float a = number(), b = number();
      pair = pack(a, b);
    }
  return memory;
}
u16* halves(size_t count) {
  u16* memory = new u16[count];
  for (size_t i = 0; i < count; ++i) memory[i] = static_cast<u16>(bfloat16_of(number()));
  return memory;
}
u32* pairs(size_t values) { return reinterpret_cast<u32*>(maps(values)); }
u32* zero() { return new u32[1]{}; }

NormState state_of(int rows, int channels, int blocks) {
  NormState n{};
  n.gamma = positive_floats(channels), n.beta = floats(channels);
  n.mean = floats(channels), n.inverse = positive_floats(channels), n.factor = positive_floats(channels);
  n.running_mean = floats(channels), n.running_variance = positive_floats(channels);
  n.slope = floats(channels), n.offset = floats(channels), n.d_gamma = floats(channels), n.d_beta = floats(channels);
  n.partial = floats(static_cast<size_t>(blocks) * 2 * channels), n.counter = zero();
  n.rows = rows, n.channels = channels, n.momentum = 0.1f, n.epsilon = 1e-5f;
  return n;
}

void run(const char* name, int columns, int rows, int shared_bytes, const void* parameter) {
  for (int order = 0; order < 3; ++order) {
    long long counts[3];
    if (const char* failure = resnet_emulator_launch(name, columns, rows, shared_bytes, order, parameter, counts)) {
      std::fprintf(stderr, "%s: %s\n", name, failure);
      std::exit(1);
    }
  }
  std::printf("%s\n", name);
}

void norms(int rows, int channels) {
  const int blocks = 3;
  const size_t values = static_cast<size_t>(rows) * channels;
  Norm n{state_of(rows, channels, blocks), maps(values), maps(values), maps(values), maps(values), maps(values), maps(values), maps(values), maps(values), 1};
  const int parts = (channels / 8 + MOST_EIGHTS - 1) / MOST_EIGHTS;
  for (const char* name : {"norm_statistics", "norm_sums"}) run(name, blocks, parts, 64 * THREADS, &n);
  for (const char* name : {"norm_apply", "norm_input_gradient"}) run(name, blocks, parts, 0, &n);
}

struct Layer {
  const char* name;
  int inputs, outputs, side, rows, stride, back_rows, weight_rows;
};

Activation activation(const Layer& l, int images, int widens) {
  const size_t side = l.side * l.stride, values = images * side * side * l.inputs;
  Activation a{maps(values), floats(l.inputs), positive_floats(l.inputs), floats(l.inputs), {}, maps(values)};
  // Twice the side and half the channels are twice as many values.
  a.shortcut = {maps(widens ? values * 2 : values), widens};
  return a;
}
OutputGradient output_gradient(const Layer& l, int images) {
  const size_t values = static_cast<size_t>(images) * l.side * l.side * l.outputs;
  return {maps(values), maps(values), floats(l.outputs), positive_floats(l.outputs), floats(l.outputs), floats(l.outputs)};
}

void convolutions(const Layer& l, int images, int widens) {
  const bool first = !std::strcmp(l.name, "first");
  const int taken = l.side * l.stride, stored = first ? 3 : l.inputs;
  const size_t inputs = static_cast<size_t>(images) * taken * taken * l.inputs, outputs = static_cast<size_t>(images) * l.side * l.side * l.outputs;
  const float* pictures = floats(static_cast<size_t>(images) * taken * taken * 3);
  const int weights = 9 * l.inputs * l.outputs * 2, tile = ((l.rows - 1) * l.stride + 3) * ((l.side - 1) * l.stride + 3) * l.inputs * 2;
  const std::string name = l.name;

  Convolution forward{};
  if (!first) forward.input = activation(l, images, widens);
  forward.images = first ? pictures : nullptr;
  forward.weights = halves(static_cast<size_t>(l.outputs) * 9 * stored);
  forward.result = pairs(outputs);
  const int tiles = l.side / l.rows * images;
  forward.norm = state_of(images * l.side * l.side, l.outputs, tiles);
  forward.images_count = images;
  run(("forward_" + name).c_str(), tiles, 1, std::max(weights + tile, 4096), &forward);

  if (!first) {
    Convolution back{};
    back.output = output_gradient(l, images);
    back.weights = halves(static_cast<size_t>(l.outputs) * 9 * l.inputs);
    back.result = pairs(inputs);
    const int back_tiles = taken / l.back_rows * images;
    back.norm = state_of(images * taken * taken, l.inputs, back_tiles);
    back.before = pairs(inputs), back.sign = pairs(inputs);
    back.more = pairs(l.stride == 2 ? outputs : inputs), back.more_narrows = l.stride == 2;
    back.images_count = images;
    run(("backward_" + name).c_str(), back_tiles, 1, std::max(weights + (l.back_rows + 2) * (taken + 2) * l.outputs * 2, 4096), &back);
  }

  WeightGradient gradient{};
  if (!first) gradient.input = activation(l, images, widens);
  gradient.input.made = nullptr;
  gradient.images = first ? pictures : nullptr;
  gradient.output = output_gradient(l, images);
  const int blocks = std::max(1, tiles / 2), squares = l.inputs / 16 * (l.outputs / 16);
  gradient.partial = floats(static_cast<size_t>(blocks) * l.outputs * 9 * stored);
  gradient.images_count = images;
  run(("weights_" + name).c_str(), blocks, l.weight_rows, std::max(tile + l.rows * l.side * l.outputs * 2, std::min(squares, 8) * 9 * 1024), &gradient);
}

template <int TERMS>
int slab_bytes() {
  using Shape = PointwiseShape<TERMS>;
  return std::max(2 * (TERMS * Shape::HERE + Shape::PIXELS * (TERMS + Shape::HERE)), 64 * THREADS);
}

// A 1×1 convolution in `columns` blocks (or twice as many): forward, by its input, and both without a normalisation before.
void pointwise(int inputs, int outputs, int pixels) {
  const int columns = 2, rows = std::max(inputs, outputs) == 512 ? 2 : 1;
  const auto bytes = [](int terms) {
    return terms == 64 ? slab_bytes<64>() : terms == 128 ? slab_bytes<128>() : terms == 256 ? slab_bytes<256>() : slab_bytes<512>();
  };
  const size_t taken = static_cast<size_t>(pixels) * inputs, made = static_cast<size_t>(pixels) * outputs;
  Pointwise p{};
  p.before = state_of(pixels, inputs, columns), p.after = state_of(pixels, outputs, columns);
  p.x = maps(taken), p.shortcut = maps(taken), p.y = maps(taken), p.z = maps(made);
  p.weights = reinterpret_cast<u16*>(maps(static_cast<size_t>(inputs) * outputs));
  p.dz = maps(made), p.more = maps(taken), p.sign = maps(taken), p.gradient = maps(taken);
  p.pixels = pixels;
  const std::string name = std::to_string(inputs) + "_" + std::to_string(outputs);
  const auto both = [&](const Pointwise& given) {
    run(("pointwise_forward_" + name).c_str(), columns, rows, bytes(inputs), &given);
    run(("pointwise_backward_" + name).c_str(), columns, rows, bytes(outputs), &given);
  };
  both(p);
  p.before = {}, p.shortcut = nullptr, p.y = nullptr, p.more = nullptr, p.sign = nullptr;
  both(p);
}

void heads(int images, int classes) {
  const Layer last{"", 64, 64, 8, 8, 1, 8, 1};
  Head h{};
  h.input = activation(last, images, 1);
  h.weights = floats(classes * 64), h.bias = floats(classes);
  long long* labels = new long long[images];
  for (int i = 0; i < images; ++i) labels[i] = classes - 1 - i % classes;
  h.labels = labels;
  h.logits = floats(images * classes), h.d_logits = floats(images * classes), h.pooled = floats(images * 64), h.losses = floats(2 * images);
  h.gradient = maps(static_cast<size_t>(images) * 64 * 64);
  h.norm = state_of(images * 64, 64, images);
  h.images_count = images, h.classes = classes;
  run("head", images, 1, (32 * 64 + 64 + 1024) * 4, &h);

  Parts* parts = new Parts[2]{{floats(3 * 432), 0, 432, 3}, {floats(2 * 2304), 432, 2304, 2}};
  Collect c{parts, floats(432 + 2304), h.d_logits, h.pooled, h.losses, floats(classes * 64), floats(classes), floats(2), 2, images, classes, 64};
  run("collect", (std::max(2304, classes * 65 + 2) + THREADS - 1) / THREADS, 3, 0, &c);
}

void batches(int count) {
  const int images = 5, side = 32, padded = 40;
  u8* pixels = new u8[images * padded * padded * 3]();
  long long *labels = new long long[images](), *row = new long long[1]{1}, *plans = new long long[2 * count * 4]();
  for (int i = 0; i < count; ++i) {
    const long long draw[] = {images - 1, 8, 8, i % 2};
    std::copy(draw, draw + 4, plans + (count + i) * 4);
  }
  float* made = floats(count * side * side * 3);
  Batch b{pixels, labels, floats(padded * padded * 3), positive_floats(3), plans, row, made, new long long[count], 0, count, count, side, padded};
  run("batch", (count * side * side + THREADS - 1) / THREADS, 1, 0, &b);
}

}  // namespace

int main() {
  for (const auto& [rows, channels] : {std::pair{70, 16}, {33, 24}, {9, 64}, {300, 480}, {5, 2048}}) norms(rows, channels);
  const Layer layers[] = {
      {"first", 16, 16, 32, 16, 1, 16, 1}, {"16", 16, 16, 32, 16, 1, 16, 1}, {"16_32", 16, 32, 16, 16, 2, 16, 1},
      {"32", 32, 32, 16, 16, 1, 16, 1},    {"32_64", 32, 64, 8, 8, 2, 16, 1}, {"64", 64, 64, 8, 8, 1, 8, 2},
  };
  for (const Layer& layer : layers) convolutions(layer, 2, layer.inputs > 16);
  for (const int pixels : {1, 150}) {
    pointwise(64, 256, pixels), pointwise(128, 512, pixels);
    pointwise(256, 64, pixels), pointwise(512, 128, pixels);
  }
  heads(3, 10);
  heads(2, 1000);
  batches(3);
  Update u{floats(1000), floats(1000), floats(1000), floats(1), 1000, 0.9f, 1e-4f};
  run("update", 3, 1, 0, &u);
}
