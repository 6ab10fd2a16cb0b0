// What this node offers: its CPU cores as one device, and every GPU and MIG slice that NVML shows.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "finetune/v1/nodes.pb.h"

namespace ft::agent {

// What a card is doing. A figure that it does not tell is absent.
struct CardReading {
  std::string uuid, model;
  std::optional<double> utilization;  // Share of the last moments in which a kernel ran, 0..1.
  std::optional<int64_t> memory_used_bytes, memory_bytes;
  std::optional<double> temperature_celsius, power_watts;
  std::optional<int64_t> uncorrected_ecc_errors;  // Since the driver was loaded.
};

// A source of accelerators; NVML opened at run time, or a fake.
class DeviceSource {
 public:
  virtual ~DeviceSource() = default;
  // Cards, or the slices of a card that is cut; those that ranks of this build cannot use with their problem.
  virtual StatusOr<std::vector<finetune::v1::Device>> List() = 0;
  // Of each card that answers, cut or not.
  virtual std::vector<CardReading> Read() = 0;
};

// NOT_FOUND when the library is not there or shows no driver.
StatusOr<std::unique_ptr<DeviceSource>> OpenNvml(const std::string& library);

// `cores` as configured, 0 = all this process may run on. Memory from /proc/meminfo.
finetune::v1::Device CpuDevice(const std::string& node_id, int64_t cores);

}  // namespace ft::agent
