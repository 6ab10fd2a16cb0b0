#include "core/series/series.h"

#include <utility>

#include "core/records/record_file.h"

namespace ft::series {
namespace {

namespace pb = finetune::v1;
namespace wpb = finetune::worker::v1;

// The key under which a newer attempt's point replaces an older one; empty = every one is kept.
std::string KeyOf(const wpb::RankRecord& record) {
  switch (record.kind_case()) {
    case wpb::RankRecord::kStep: return StrCat("step/", record.step().step());
    case wpb::RankRecord::kEval: return StrCat("eval/", record.eval().name(), "/", record.eval().step());
    case wpb::RankRecord::kScore: return StrCat("score/", record.score().name(), "/", record.score().step());
    case wpb::RankRecord::kSample:
      return StrCat("sample/", record.sample().step(), "/", record.sample().prompt());
    default: return "";
  }
}

bool IsPoint(const wpb::RankRecord& record) {
  return record.has_step() || record.has_eval() || record.has_sample() || record.has_note() ||
         record.has_score();
}

}  // namespace

int64_t StepOf(const wpb::RankRecord& record) {
  switch (record.kind_case()) {
    case wpb::RankRecord::kStep: return record.step().step();
    case wpb::RankRecord::kEval: return record.eval().step();
    case wpb::RankRecord::kSample: return record.sample().step();
    case wpb::RankRecord::kScore: return record.score().step();
    default: return 0;
  }
}

StatusOr<std::vector<pb::MetricPoint>> NextPoints(const std::filesystem::path& path, int64_t epoch,
                                                  uint64_t* offset, size_t max_frames) {
  records::FrameReader reader(path, *offset);
  ASSIGN_OR_RETURN(const std::vector<std::string> frames, reader.Next(max_frames));
  std::vector<pb::MetricPoint> points;
  for (const std::string& frame : frames) {
    pb::MetricPoint point;
    point.set_epoch(epoch);
    if (!point.mutable_record()->ParseFromString(frame)) {
      return absl::DataLossError(StrCat(path.string(), ": a record is unreadable"));
    }
    if (IsPoint(point.record())) points.push_back(std::move(point));
  }
  *offset = reader.offset();
  return points;
}

void Series::Add(pb::MetricPoint point) {
  const std::string key = KeyOf(point.record());
  const auto place = key.empty() ? places_.end() : places_.find(key);
  if (place != places_.end()) {
    points_[place->second] = std::move(point);
    return;
  }
  if (!key.empty()) places_[key] = points_.size();
  points_.push_back(std::move(point));
}

}  // namespace ft::series
