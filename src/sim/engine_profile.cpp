#include "sim/engine_profile.h"

#include <algorithm>
#include <array>

#include "sim/csv.h"
#include "sim/tables.h"

namespace perigee::sim {
namespace {

struct ModelShape {
  std::string_view name;
  double parameters;
  double kv_bytes_per_token;  // 2 (keys, values) * layers * heads of keys * 128 * 2 bytes
};
constexpr std::array<ModelShape, 3> kModels{{
    {"llama-3.1-8b", 8.03e9, 2.0 * 32 * 8 * 128 * 2},
    {"llama-3.2-3b", 3.21e9, 2.0 * 28 * 8 * 128 * 2},
    {"qwen2.5-1.5b", 1.54e9, 2.0 * 28 * 2 * 128 * 2},
}};
// vLLM's default share of the memory that it uses.
constexpr double kMemoryShare = 0.9;

// Per GPU and hour in a common currency: middle of public list prices of 2025-26 for a year's
// reservation. A scenario may set its own.
double price_of(std::string_view gpu) {
  if (gpu == "l40s") return 0.9;
  if (gpu == "rtx_pro_6000_server") return 1.3;
  if (gpu.starts_with("a100")) return 1.3;
  if (gpu.starts_with("h100")) return 2.4;
  if (gpu.starts_with("h200")) return 3.0;
  return 1.5;
}

Result<> add_specs(EngineProfile& profile, std::string_view gpu, std::string_view weights,
                   std::string_view model) {
  const auto* shape = std::ranges::find(kModels, model, &ModelShape::name);
  if (shape == kModels.end()) {
    return Error{Code::NotFound, "no shape is known of model '" + std::string{model} + "'"};
  }
  PERIGEE_TRY(table, CsvTable::parse(kGpuSpecs, "gpu_specs.csv"));
  PERIGEE_TRY(name, table.column("gpu"));
  PERIGEE_TRY(memory, table.column("mem_bytes"));
  PERIGEE_TRY(power, table.column("power_w"));
  for (std::size_t row = 0; row < table.rows(); ++row) {
    if (table.text(row, name) != gpu) continue;
    PERIGEE_TRY(bytes, table.number(row, memory));
    PERIGEE_TRY(watts, table.number(row, power));
    const double weight_bytes = shape->parameters * (weights == "fp8" ? 1 : 2);
    profile.kv_tokens = static_cast<std::uint64_t>((bytes * kMemoryShare - weight_bytes) /
                                                   shape->kv_bytes_per_token);
    profile.watts = watts;
    profile.price_per_hour = price_of(gpu);
    return {};
  }
  return Error{Code::NotFound, "no memory size is known of GPU '" + std::string{gpu} + "'"};
}

}  // namespace

double prefill_tokens_per_s(const EngineProfile& profile) {
  const double thousands = profile.batch_tokens_max * 1e-3;
  const double ms = profile.prefill_base_ms + profile.prefill_ms_per_1k * thousands +
                    profile.prefill_ms_per_1k_squared * thousands * thousands;
  return ms > 0 ? profile.batch_tokens_max * 1e3 / ms : 0;
}

double decode_ms(const EngineProfile& profile, double sequences, double kv_tokens) {
  return profile.decode_base_ms + profile.decode_ms_per_sequence * sequences +
         profile.decode_ms_per_1k_kv * kv_tokens * 1e-3;
}

Result<EngineProfile> find_profile(std::string_view gpu, std::string_view weights,
                                   std::string_view model) {
  PERIGEE_TRY(table, CsvTable::parse(kIterationFits, "iteration_linear_fit.csv"));
  constexpr std::array<std::string_view, 9> kTitles{"model",           "system",
                                                    "weights",         "dec_base_ms",
                                                    "dec_ms_per_seq",  "dec_ms_per_1k_kv_tokens",
                                                    "pre_base_ms",     "pre_ms_per_1k_tokens",
                                                    "pre_ms_per_1k_sq"};
  std::array<std::size_t, kTitles.size()> at{};
  for (std::size_t i = 0; i < kTitles.size(); ++i) {
    PERIGEE_TRY(column, table.column(kTitles[i]));
    at[i] = column;
  }
  std::string all;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const std::string_view system = table.text(row, at[1]);
    const std::string name = std::string{system} + "/" + std::string{table.text(row, at[2])} + "/" +
                             std::string{table.text(row, at[0])};
    all += (all.empty() ? "" : ", ") + name;
    const bool same_gpu = system == gpu || system == std::string{gpu} + "_sxm";
    if (!same_gpu || table.text(row, at[2]) != weights || table.text(row, at[0]) != model) continue;
    std::array<double, 6> value{};
    for (std::size_t i = 0; i < value.size(); ++i) {
      PERIGEE_TRY(number, table.number(row, at[3 + i]));
      value[i] = number;
    }
    EngineProfile profile;
    profile.name = name;
    profile.decode_base_ms = value[0];
    profile.decode_ms_per_sequence = value[1];
    profile.decode_ms_per_1k_kv = value[2];
    profile.prefill_base_ms = value[3];
    profile.prefill_ms_per_1k = value[4];
    profile.prefill_ms_per_1k_squared = value[5];
    PERIGEE_CHECK(add_specs(profile, system, weights, model));
    return profile;
  }
  return Error{Code::NotFound, "no measured profile GPU/weights/model '" + std::string{gpu} + "/" +
                                   std::string{weights} + "/" + std::string{model} +
                                   "'; there are: " + all};
}

}  // namespace perigee::sim
