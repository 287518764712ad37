#include "base/log.h"

#include <gtest/gtest.h>

namespace perigee {
namespace {

TEST(Log, WritesTextLinesWithQuotedFieldsOnlyWhereNeeded) {
  testing::internal::CaptureStderr();
  log::configure(log::Level::Info, log::Format::Text, "site-a");
  log::debug("not shown");
  log::info("engine exited", {{"engine", "demo-0"}, {"signal", 9}, {"why", "a \"b\""}});
  log::flush();
  const std::string out = testing::internal::GetCapturedStderr();
  EXPECT_NE(out.find("info site-a: engine exited engine=demo-0 signal=9 why=\"a \\\"b\\\"\"\n"),
            std::string::npos)
      << out;
  EXPECT_EQ(out.find("not shown"), std::string::npos);
}

TEST(Log, WritesOneJsonObjectPerLineAndEscapesControlCharacters) {
  testing::internal::CaptureStderr();
  log::configure(log::Level::Info, log::Format::Json, "s");
  log::warning("m", {{"text", "line\nbreak"}, {"n", 1.5}});
  log::flush();
  const std::string out = testing::internal::GetCapturedStderr();
  EXPECT_NE(
      out.find(R"("level":"warning","source":"s","message":"m","text":"line\u000abreak","n":1.5})"),
      std::string::npos)
      << out;
  log::configure(log::Level::Info, log::Format::Text, "");
}

}  // namespace
}  // namespace perigee
