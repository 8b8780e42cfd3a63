// The tensors that a pass takes of the flat parameter vector, some of them in bfloat16, as one autograd function. With libtorch's own views
// each one that a pass leaves aside costs a tensor of zeros in the backward pass: half of them, where each parameter has a view in float32
// and one in bfloat16.
#include "../../../system/guarded.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// A parameter, in the vector's order.
struct Piece {
  // One, two or four.
  int64_t dimensions;
  // In torch's order; four of them lie in memory as outputs, height, width, inputs.
  int64_t sizes[4];
  bool bfloat16;
};

namespace {

// As the values lie in the vector.
std::array<int64_t, 4> strides_of(const Piece& piece) {
  const int64_t* size = piece.sizes;
  if (piece.dimensions == 4) return {size[1] * size[2] * size[3], 1, size[3] * size[1], size[1]};
  if (piece.dimensions == 2) return {size[1], 1};
  return {1};
}

struct Views : torch::autograd::Function<Views> {
  static variable_list forward(AutogradContext* context, const Tensor& flat, const Piece* pieces, int64_t count) {
    // Not views, which autograd would follow: other tensors on the same memory.
    const at::AutoDispatchBelowADInplaceOrView not_tracked;
    const Tensor cast = flat.to(at::kBFloat16);
    variable_list views;
    std::vector<int64_t> lengths;
    int64_t start = 0;
    for (const Piece* piece = pieces; piece < pieces + count; ++piece) {
      const at::IntArrayRef sizes(piece->sizes, piece->dimensions);
      const std::array<int64_t, 4> strides = strides_of(*piece);
      const Tensor& source = piece->bfloat16 ? cast : flat;
      views.push_back(source.as_strided(sizes, {strides.data(), sizes.size()}, source.storage_offset() + start));
      lengths.push_back(views.back().numel());
      start += lengths.back();
    }
    TORCH_CHECK(start == flat.numel(), "the pieces have ", start, " values together, the vector has ", flat.numel());
    context->saved_data["lengths"] = lengths;
    context->set_materialize_grads(false);
    return views;
  }

  // Few operations, whatever the number of views; each can be differentiated.
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const std::vector<int64_t> lengths = context->saved_data["lengths"].toIntVector();
    const auto is_defined = [](const Tensor& gradient) { return gradient.defined(); };
    if (std::none_of(gradients.begin(), gradients.end(), is_defined)) return {Tensor(), Tensor(), Tensor()};
    variable_list halves;
    for (Tensor& gradient : gradients) {
      if (!gradient.defined()) continue;
      // No copy where one of four dimensions is channels-last.
      gradient = (gradient.dim() == 4 ? gradient.permute({0, 2, 3, 1}) : gradient).reshape({-1});
      if (is_half(gradient)) halves.push_back(gradient);
    }
    const Tensor cast = halves.empty() ? Tensor() : at::cat(halves).to(at::kFloat);
    const Tensor zeros = zeros_for(gradients, lengths);

    variable_list parts;
    int64_t unused = 0, cast_before = 0;
    const auto add_unused = [&] {
      if (unused > 0) parts.push_back(zeros.narrow(0, 0, unused));
      unused = 0;
    };
    for (size_t i = 0; i < lengths.size(); ++i) {
      if (!gradients[i].defined()) {
        unused += lengths[i];
        continue;
      }
      add_unused();
      parts.push_back(is_half(gradients[i]) ? cast.narrow(0, cast_before, lengths[i]) : gradients[i]);
      if (is_half(gradients[i])) cast_before += lengths[i];
    }
    add_unused();
    // A sum with zeros, as where autograd adds up what several views of the whole vector bring back: -0 becomes 0.
    return {at::cat(parts).add_(0.0), Tensor(), Tensor()};
  }

 private:
  static bool is_half(const Tensor& gradient) { return gradient.scalar_type() == at::kBFloat16; }

  // As many as the longest part of the vector without a gradient; none if all of it has one.
  static Tensor zeros_for(const variable_list& gradients, const std::vector<int64_t>& lengths) {
    at::TensorOptions options;
    int64_t unused = 0, longest = 0;
    for (size_t i = 0; i < lengths.size(); ++i) {
      if (gradients[i].defined()) options = gradients[i].options().dtype(at::kFloat);
      unused = gradients[i].defined() ? 0 : unused + lengths[i];
      longest = std::max(longest, unused);
    }
    return longest > 0 ? at::zeros({longest}, options) : Tensor();
  }
};

// What libtorch was asked for in this thread, by name.
thread_local std::map<std::string, int64_t> calls;
thread_local at::CallbackHandle counting = 0;

}  // namespace

extern "C" {

const char* resnet_views_error() { return last_error.c_str(); }

// Views of a float32 vector, an at::Tensor*, as new at::Tensors; false with resnet_views_error set.
bool resnet_views(void** results, void* flat, const Piece* pieces, int64_t count) {
  return done([&] {
    const Tensor& vector = *static_cast<Tensor*>(flat);
    TORCH_CHECK(vector.dim() == 1 && vector.is_contiguous() && vector.scalar_type() == at::kFloat, "the parameters are no vector of float32");
    const variable_list views = Views::apply(vector, pieces, count);
    for (int64_t i = 0; i < count; ++i) results[i] = new Tensor(views[i]);
  });
}

// For tests: counts the operations of this thread from now on, or no more.
void resnet_count_calls(bool count) {
  if (counting != 0) at::removeCallback(std::exchange(counting, 0));
  if (!count) return;
  calls.clear();
  const auto note = [](const at::RecordFunction& function) -> std::unique_ptr<at::ObserverContext> {
    ++calls[function.name()];
    return nullptr;
  };
  counting = at::addThreadLocalCallback(at::RecordFunctionCallback(note).scopes({at::RecordScope::FUNCTION}));
}

// For tests: how many there were of `name`; of any name if it is null.
int64_t resnet_calls(const char* name) {
  if (name) return calls.count(name) ? calls.at(name) : 0;
  int64_t sum = 0;
  for (const auto& [_, count] : calls) sum += count;
  return sum;
}

}  // extern "C"
