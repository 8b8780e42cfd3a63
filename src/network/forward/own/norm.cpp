// Batch normalisation + shortcut addition + ReLU, and a 1×1 convolution after them, as one autograd function by the project's own kernels
// (src/kernels/norm.cu, pointwise.cu), for bfloat16 maps on a GPU, or in tests on the emulator.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>

#include "../../../kernels/parameters.h"
#include "../../../system/guarded.h"
#include "../norm_arguments.h"

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

extern "C" {
// Hands a kernel to a device, -1 being the emulator; null, or what went wrong.
typedef const char* (*resnet_launcher)(int kernel, int columns, int rows, const void* parameter, int device);

// A batch normalisation: pointers to at::Tensor. running_*: null to leave them alone. statistics: [5, channels] of maps that have been summed up
// already, else null.
struct resnet_own_norm_given {
  void *gamma, *beta, *running_mean, *running_variance, *statistics;
  double momentum, epsilon;
};
}

namespace {

resnet_launcher launcher = nullptr;

// As many as fit on a large GPU at a time; the same on every GPU, since they decide the order of summation.
constexpr int64_t BLOCKS = 264;

// Of 1×1 convolutions, the first of those in the order of list.rs.
enum Kernel { STATISTICS, APPLY, SUMS, INPUT_GRADIENT, POINTWISE_FORWARD, POINTWISE_BACKWARD = POINTWISE_FORWARD + 4 };

struct Grid {
  int64_t columns, rows;
};

void launch(int kernel, Grid grid, const void* parameter, const Tensor& maps) {
  const int device = maps.is_cuda() ? maps.get_device() : -1;
  const char* failure = launcher(kernel, static_cast<int>(grid.columns), static_cast<int>(grid.rows), parameter, device);
  if (failure) throw std::runtime_error(failure);
}

Words* words(const Tensor& tensor) { return data<Words>(tensor); }
int64_t pixels_of(const Tensor& maps) { return maps.numel() / maps.size(1); }

// One a device and thread, 0 between kernels, which are done one after the other. It is made before any step is captured, and never freed: threads
// end after CUDA does.
u32* counter_of(const Tensor& maps) {
  thread_local auto& counters = *new std::map<int, Tensor>;
  Tensor& counter = counters[maps.is_cuda() ? maps.get_device() : -1];
  if (!counter.defined()) counter = at::zeros({1}, maps.options().dtype(at::kInt));
  return data<u32>(counter);
}

// For so many pixels of which a block takes `run` at a time, and `rows` blocks that share a pixel's channels.
Grid grid_of(int64_t pixels, int64_t rows, int64_t run) { return {std::min(BLOCKS / rows, (pixels + run - 1) / run), rows}; }
Grid norm_grid(const Tensor& maps) {
  const int64_t eights = maps.size(1) / 8, slots = THREADS / std::min<int64_t>(eights, MOST_EIGHTS);
  return grid_of(pixels_of(maps), (eights + MOST_EIGHTS - 1) / MOST_EIGHTS, RUN * slots);
}
template <int TERMS>
Grid grid_for(int64_t pixels) {
  using Shape = PointwiseShape<TERMS>;
  return grid_of(pixels, Shape::RESULTS / Shape::HERE, Shape::PIXELS);
}
Grid pointwise_grid(int64_t pixels, int64_t terms) {
  return terms == 64 ? grid_for<64>(pixels) : terms == 128 ? grid_for<128>(pixels) : terms == 256 ? grid_for<256>(pixels) : grid_for<512>(pixels);
}

// A batch normalisation as its kernels take it, with what its Tensors keep alive.
struct State {
  Tensor gamma, beta, running_mean, running_variance;
  Tensor statistics;  // mean, inverse deviation, factor, slope, offset of the batch: [5, channels]
  double momentum = 0, epsilon = 0;

  State() = default;
  explicit State(const resnet_own_norm_given& given)
      : gamma(tensor(given.gamma).contiguous()), beta(tensor(given.beta).contiguous()), running_mean(tensor(given.running_mean)),
        running_variance(tensor(given.running_variance)), statistics(tensor(given.statistics)), momentum(given.momentum), epsilon(given.epsilon) {
    const auto fits = [&](const Tensor& vector) { return vector.scalar_type() == at::kFloat && vector.numel() == gamma.numel(); };
    TORCH_CHECK(fits(gamma) && fits(beta), "scale and shift must be float32, one a channel");
    TORCH_CHECK(!statistics.defined() || statistics.numel() == 5 * gamma.numel(), "the statistics are of other maps");
  }

  // `partial`: what its blocks leave for the last one.
  NormState of(const Tensor& maps, const Tensor& partial) const {
    NormState state{};
    const int64_t channels = gamma.numel();
    float* row = data<float>(statistics);
    state.gamma = data<float>(gamma);
    state.beta = data<float>(beta);
    for (float** to : {&state.mean, &state.inverse, &state.factor, &state.slope, &state.offset}) {
      *to = row;
      row += channels;
    }
    state.running_mean = data<float>(running_mean);
    state.running_variance = data<float>(running_variance);
    state.partial = data<float>(partial);
    state.counter = counter_of(maps);
    state.rows = static_cast<int>(pixels_of(maps));
    state.channels = static_cast<int>(channels);
    state.momentum = static_cast<float>(momentum);
    state.epsilon = static_cast<float>(epsilon);
    return state;
  }
};
Tensor statistics_for(const State& state) { return at::empty({5, state.gamma.numel()}, state.gamma.options()); }
Tensor partial_for(const State& state, Grid grid) { return at::empty({grid.columns, 2, state.gamma.numel()}, state.gamma.options()); }

// The kernel of a 1×1 convolution, [outputs, inputs, 1, 1]: its place in list.rs.
int place_of(const Tensor& weight) {
  const int64_t outputs = weight.size(0), inputs = weight.size(1);
  const auto is = [&](int64_t i, int64_t o) { return inputs == i && outputs == o; };
  TORCH_CHECK(is(64, 256) || is(128, 512) || is(256, 64) || is(512, 128), "no kernel for a 1x1 convolution of ", inputs, " to ", outputs, " channels");
  return is(64, 256) ? 0 : is(128, 512) ? 1 : is(256, 64) ? 2 : 3;
}

// Forward: fills p.z and p.after. Gives the convolution's output and its statistics, [5, outputs].
std::tuple<Tensor, Tensor> convolve(Pointwise& p, const Tensor& x, const Tensor& weight, State after) {
  TORCH_CHECK(x.scalar_type() == at::kBFloat16 && weight.scalar_type() == at::kBFloat16 && weight.is_contiguous(),
              "maps and weights must be bfloat16, weights contiguous");
  TORCH_CHECK(x.size(1) == weight.size(1) && after.gamma.numel() == weight.size(0), "maps, weights and normalisation differ in channels");
  const Tensor z = at::empty({x.size(0), weight.size(0), x.size(2), x.size(3)}, x.options(), at::MemoryFormat::ChannelsLast);
  const Grid grid = pointwise_grid(pixels_of(x), weight.size(1));
  after.statistics = statistics_for(after);
  const Tensor partial = partial_for(after, grid);
  p.after = after.of(z, partial);
  p.x = words(x);
  p.weights = data<u16>(weight);
  p.z = words(z);
  p.pixels = static_cast<int>(pixels_of(x));
  launch(POINTWISE_FORWARD + place_of(weight), grid, &p, x);
  return {z, after.statistics};
}

// By the weights, libtorch's.
Tensor weight_gradient(const Tensor& dz, const Tensor& input, const Tensor& weight) {
  return std::get<1>(at::convolution_backward(dz, input, weight, at::OptionalIntArrayRef(), {1, 1}, {0, 0}, {1, 1}, false, {0, 0}, 1, {false, true, false}));
}

// A 1×1 convolution of maps as they are.
struct OwnConvolution : torch::autograd::Function<OwnConvolution> {
  static variable_list forward(AutogradContext* context, const Tensor& x, const Tensor& weight, const State& after) {
    Pointwise p{};
    const auto [z, statistics] = convolve(p, x, weight, after);
    context->save_for_backward({x, weight});
    context->mark_non_differentiable({statistics});
    context->set_materialize_grads(false);
    return {z, statistics};
  }
  static variable_list backward(AutogradContext* context, variable_list outputs) {
    if (!outputs[0].defined()) return {Tensor(), Tensor(), Tensor()};
    const variable_list saved = context->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1], dz = channels_last(outputs[0]), dx = at::empty_like(x);
    Pointwise p{};
    p.weights = data<u16>(weight);
    p.dz = words(dz);
    p.gradient = words(dx);
    p.pixels = static_cast<int>(pixels_of(x));
    launch(POINTWISE_BACKWARD + place_of(weight), pointwise_grid(p.pixels, weight.size(0)), &p, x);
    return {dx, weight_gradient(dz, x, weight), Tensor()};
  }
};

struct OwnNorm : torch::autograd::Function<OwnNorm> {
  // The output twice, for two consumers, whose gradients are added in the pass that is made anyway (../fused/norm.cpp does the same). With a
  // weight, also the output of the 1×1 convolution that follows, and its statistics.
  static variable_list forward(AutogradContext* context, const Tensor& x, const Tensor& gamma, const Tensor& beta, MaybeTensor maybe_shortcut,
                               MaybeTensor maybe_weight, State state, bool relu, const State& after) {
    const Tensor shortcut = maybe_shortcut.value_or(Tensor()), weight = maybe_weight.value_or(Tensor()), y = at::empty_like(x);
    TORCH_CHECK(relu || !weight.defined(), "a convolution ahead needs ReLU before it");
    const Grid grid = norm_grid(x);
    const Tensor partial = partial_for(state, grid);
    const bool summed = state.statistics.defined();
    if (!summed) state.statistics = statistics_for(state);
    Norm norm{};
    norm.state = state.of(x, partial);
    norm.x = words(x);
    norm.shortcut = words(shortcut);
    norm.y = words(y);
    norm.relu = relu;
    if (!summed) launch(STATISTICS, grid, &norm, x);
    // Not a view, which autograd would follow: another tensor on the same memory.
    variable_list results{y, at::empty({0}, y.options()).set_(y.storage(), y.storage_offset(), y.sizes(), y.strides())};
    if (weight.defined()) {
      Pointwise p{};
      p.before = norm.state;
      p.shortcut = norm.shortcut;
      p.y = norm.y;
      const auto [z, statistics] = convolve(p, x, weight, after);
      context->mark_non_differentiable({statistics});
      results.insert(results.end(), {z, statistics});
    } else {
      launch(APPLY, grid, &norm, x);
    }
    // The output is needed for the sign of a sum, and by the convolution; else its sign follows from x.
    const bool keep = (shortcut.defined() && relu) || weight.defined();
    context->save_for_backward({x, gamma, beta, state.statistics, keep ? y : Tensor(), weight});
    context->saved_data["relu"] = relu;
    context->saved_data["shortcut"] = shortcut.defined();
    context->saved_data["epsilon"] = state.epsilon;
    context->set_materialize_grads(false);
    return results;
  }

  static variable_list backward(AutogradContext* context, variable_list outputs) {
    const variable_list saved = context->get_saved_variables();
    const Tensor &x = saved[0], &y = saved[4], &weight = saved[5];
    const bool relu = context->saved_data["relu"].toBool(), has_shortcut = context->saved_data["shortcut"].toBool();
    State state;
    state.gamma = saved[1], state.beta = saved[2], state.statistics = saved[3], state.epsilon = context->saved_data["epsilon"].toDouble();
    const Tensor dx = at::empty_like(x), d_gamma = at::empty_like(state.gamma), d_beta = at::empty_like(state.beta);
    const Tensor dz = outputs.size() > 2 && outputs[2].defined() ? channels_last(outputs[2]) : Tensor();
    const bool both = outputs[0].defined() && outputs[1].defined();
    Tensor dy = outputs[0].defined() ? channels_last(outputs[0]) : outputs[1].defined() ? channels_last(outputs[1]) : Tensor();
    Tensor more = both ? channels_last(outputs[1]) : Tensor(), masked, d_weight;

    const Grid grid = dz.defined() ? pointwise_grid(pixels_of(x), weight.size(0)) : norm_grid(x);
    const Tensor partial = partial_for(state, grid);
    Norm norm{};
    norm.state = state.of(x, partial);
    norm.state.d_gamma = data<float>(d_gamma);
    norm.state.d_beta = data<float>(d_beta);
    norm.x = words(x);
    norm.sign = has_shortcut && relu ? words(y) : nullptr;
    norm.dx = words(dx);
    norm.relu = relu;
    if (dz.defined()) {
      if (both) dy = channels_last(dy + more);
      masked = at::empty_like(x);
      Pointwise p{};
      p.before = norm.state;
      p.x = norm.x;
      p.weights = data<u16>(weight);
      p.dz = words(dz);
      p.more = words(dy);
      p.sign = norm.sign;
      p.gradient = words(masked);
      p.pixels = norm.state.rows;
      launch(POINTWISE_BACKWARD + place_of(weight), grid, &p, x);
      d_weight = weight_gradient(dz, y, weight);
    } else {
      // Without ReLU the shortcut's gradient is dy itself.
      if ((has_shortcut && relu) || both) masked = at::empty_like(x);
      norm.dy = words(dy);
      norm.more = words(more);
      norm.masked = words(masked);
      launch(SUMS, grid, &norm, x);
    }
    norm.dy = words(dy);
    norm.masked = words(masked);
    launch(INPUT_GRADIENT, norm_grid(x), &norm, x);
    const Tensor d_shortcut = !has_shortcut ? Tensor() : masked.defined() ? masked : dy;
    return {dx, d_gamma, d_beta, d_shortcut, d_weight, Tensor(), Tensor(), Tensor()};
  }
};

}  // namespace

extern "C" {

void resnet_own_norm_launcher(resnet_launcher given) { launcher = given; }

const char* resnet_own_norm_error() { return last_error.c_str(); }

// Normalises x, bfloat16 [images, channels, height, width], channels divisible by 8, in training mode, and adds `shortcut` unless that is null.
// results: the output twice; with the `weight` of a 1×1 convolution also its output, and what the normalisation `after` needs of it.
bool resnet_own_norm(void** results, void* x, const resnet_own_norm_given* before, void* shortcut, bool relu, void* weight,
                     const resnet_own_norm_given* after) {
  return done([&] {
    const NormArguments given(x, before->gamma, before->beta, shortcut);
    const variable_list outputs = OwnNorm::apply(given.maps, given.scale, given.shift, maybe(given.added), maybe(tensor(weight)), State(*before), relu,
                                                 after ? State(*after) : State());
    for (size_t i = 0; i < outputs.size(); ++i) results[i] = new Tensor(outputs[i]);
  });
}

// The 1×1 convolution of x, and what the normalisation `after` needs of it.
bool resnet_own_convolution(void** results, void* x, void* weight, const resnet_own_norm_given* after) {
  return done([&] {
    const variable_list outputs = OwnConvolution::apply(channels_last(tensor(x)), tensor(weight), State(*after));
    for (size_t i = 0; i < outputs.size(); ++i) results[i] = new Tensor(outputs[i]);
  });
}

}  // extern "C"
