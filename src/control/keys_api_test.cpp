#include <gtest/gtest.h>

#include "control/control_test_grid.h"
#include "directory/records_json.h"
#include "identity/key_text.h"

namespace perigee::control {
namespace {

constexpr std::int64_t kDayMicros = 86'400'000'000;

class KeysApiTest : public testing::Test {
 protected:
  KeysApiTest() { EXPECT_TRUE(call("PUT", "tenants/acme")); }

  Result<ApiAnswer> call(std::string_view method, const std::string& path,
                         const std::string& body = "", const std::string& with = "") {
    const std::string full = "/control/v1/" + path;
    const std::string authorization = "Bearer " + (with.empty() ? admin_ : with);
    return api_.answer({method, full, body, authorization, "", ""});
  }
  std::string made(const std::string& body) {
    auto answer = call("POST", "keys", body);
    EXPECT_TRUE(answer) << (answer ? "" : answer.error().message);
    return answer ? answer->body : "";
  }
  Result<Caller> caller(const std::string& text) const {
    return table_->identity().authenticate("Bearer " + text);
  }

  TestFolder folder_;
  ManualClock clock_;
  std::unique_ptr<DirectoryTable> table_ =
      make_table(std::make_unique<MemoryDirectory>(), clock_, folder_.file("operator.key"));
  ControlApi api_{*table_, clock_};
  std::string admin_ = first_line(folder_.file("operator.key"));
};

TEST_F(KeysApiTest, AScopeIsStoredShownAndHandedToWhoeverAuthenticates) {
  const std::string view =
      made(R"({"tenant":"acme","models":["m"],"classes":["batch"],"jurisdictions":["de"],)"
           R"("requests_per_minute":60,"tokens_per_minute":1000})");
  EXPECT_NE(view.find(R"("models":["m"],"classes":["batch"],"jurisdictions":["de"],)"
                      R"("requests_per_minute":60,"tokens_per_minute":1000)"),
            std::string::npos)
      << view;
  const auto known = caller(json_text(view, "key"));
  ASSERT_TRUE(known);
  ASSERT_NE(known->bounds, nullptr);
  EXPECT_EQ(known->bounds->scope.requests_per_minute, 60U);
  EXPECT_EQ(known->bounds->account, json_text(view, "id"));
  const std::string id = json_text(view, "id");
  ASSERT_TRUE(call("POST", "keys/" + id + "/scope", R"({"requests_per_minute":5})"));
  EXPECT_EQ(caller(json_text(view, "key"))->bounds->scope.requests_per_minute, 5U);
  EXPECT_TRUE(caller(json_text(view, "key"))->bounds->scope.models.empty());
  ASSERT_TRUE(call("POST", "keys/" + id + "/scope", "{}"));
  EXPECT_EQ(caller(json_text(view, "key"))->bounds, nullptr) << "nothing binds: nothing to look at";
}

TEST_F(KeysApiTest, AScopeThatCannotBeIsRefusedByItsField) {
  const auto param = [this](const std::string& body) {
    auto answer = call("POST", "keys", body);
    return answer ? std::string{"taken"} : answer.error().param;
  };
  EXPECT_EQ(param(R"({"tenant":"acme","classes":["fast"]})"), "classes");
  EXPECT_EQ(param(R"({"tenant":"acme","models":["a b"]})"), "models");
  EXPECT_EQ(param(R"({"tenant":"acme","jurisdictions":["DE"]})"), "jurisdictions");
  EXPECT_EQ(param(R"({"tenant":"acme","requests_per_minute":-1})"), "requests_per_minute");
  EXPECT_EQ(param(R"({"role":"operator","tokens_per_minute":1})"), "role");
  EXPECT_EQ(param(R"({"role":"operator","operator_role":"god"})"), "operator_role");
  EXPECT_EQ(param(R"({"tenant":"acme","operator_role":"viewer"})"), "operator_role");
}

TEST_F(KeysApiTest, ARotatedKeyAndItsSuccessorBothWorkUntilTheOverlapEnds) {
  const std::string old_view = made(R"({"tenant":"acme","label":"ci","requests_per_minute":9})");
  const std::string old_id = json_text(old_view, "id");
  const auto rotated = call("POST", "keys/" + old_id + "/rotate", R"({"overlap_s":3600})");
  ASSERT_TRUE(rotated) << rotated.error().message;
  EXPECT_EQ(json_text(rotated->body, "replaces"), old_id);
  EXPECT_EQ(json_text(rotated->body, "label"), "ci");
  const auto next = caller(json_text(rotated->body, "key"));
  ASSERT_TRUE(next);
  EXPECT_TRUE(caller(json_text(old_view, "key")));
  EXPECT_EQ(next->bounds->account, old_id) << "both count against the same rates";
  EXPECT_NE(next->key_id, old_id);

  EXPECT_EQ(call("POST", "keys/" + old_id + "/rotate").error().code, Code::FailedPrecondition);
  clock_.advance(seconds{3600});
  const auto late = caller(json_text(old_view, "key"));
  ASSERT_FALSE(late);
  EXPECT_NE(late.error().message.find("rotated"), std::string::npos);
  EXPECT_TRUE(caller(json_text(rotated->body, "key")));
}

TEST_F(KeysApiTest, ARotationKeepsTheLengthOfLifeAndNeverLengthensTheOldKeys) {
  const std::string view = made(R"({"tenant":"acme","expires_in_s":7200})");
  const std::string id = json_text(view, "id");
  clock_.advance(seconds{5400});
  const auto rotated = call("POST", "keys/" + id + "/rotate");
  ASSERT_TRUE(rotated);
  const auto& keys = table_->snapshot().keys;
  EXPECT_EQ(keys.at(id).expires.micros - keys.at(id).created.micros, 7'200'000'000);
  const KeyRecord& next = keys.at(json_text(rotated->body, "id"));
  EXPECT_EQ(next.expires.micros - next.created.micros, 7'200'000'000);
  EXPECT_LT(keys.at(id).expires.micros - clock_.wall().micros, kDayMicros);
}

TEST_F(KeysApiTest, ARotationWithoutOverlapRevokesTheOldKeyAtOnce) {
  const std::string view = made(R"({"tenant":"acme"})");
  ASSERT_TRUE(call("POST", "keys/" + json_text(view, "id") + "/rotate", R"({"overlap_s":0})"));
  EXPECT_FALSE(caller(json_text(view, "key")));
}

TEST_F(KeysApiTest, OnlyAnAdminMakesChangesOrRevokesAnOperator) {
  const std::string view = made(R"({"role":"operator","operator_role":"operator"})");
  const std::string operator_key = json_text(view, "key");
  EXPECT_EQ(caller(operator_key)->operator_role, OperatorRole::Operator);
  EXPECT_TRUE(call("POST", "keys", R"({"tenant":"acme"})", operator_key));
  const auto denied = [&](std::string_view method, const std::string& path,
                          const std::string& body = "") {
    auto answer = call(method, path, body, operator_key);
    return !answer && answer.error().code == Code::PermissionDenied;
  };
  EXPECT_TRUE(denied("POST", "keys", R"({"role":"operator","operator_role":"viewer"})"));
  EXPECT_TRUE(denied("DELETE", "keys/key_first_operator"));
  EXPECT_TRUE(denied("POST", "keys/key_first_operator/rotate"));
  EXPECT_TRUE(denied("DELETE", "tenants/acme"));
  // Roles below admin do not keep the last admin's key from being the last.
  EXPECT_EQ(call("DELETE", "keys/key_first_operator").error().code, Code::FailedPrecondition);
  EXPECT_TRUE(call("POST", "keys/key_first_operator/rotate")) << "its successor is one, too";
}

TEST_F(KeysApiTest, AViewerReadsAndChangesNothing) {
  const std::string viewer =
      json_text(made(R"({"role":"operator","operator_role":"viewer"})"), "key");
  EXPECT_TRUE(call("GET", "keys", "", viewer));
  EXPECT_TRUE(call("GET", "tenants/acme", "", viewer));
  EXPECT_FALSE(call("POST", "tenants/acme/suspend", "", viewer));
  const auto denied = call("PUT", "tenants/other", "{}", viewer);
  ASSERT_FALSE(denied);
  EXPECT_NE(denied.error().message.find("operator or admin"), std::string::npos)
      << denied.error().message;
  const auto secrets = call("GET", "snapshot", "", viewer);
  ASSERT_FALSE(secrets) << "a snapshot holds the hashes of keys";
}

TEST_F(KeysApiTest, LastUseIsShownAsItIsKnown) {
  const std::string id = json_text(made(R"({"tenant":"acme"})"), "id");
  EXPECT_NE(call("GET", "keys/" + id)->body.find(R"("last_used_us":0)"), std::string::npos);
  api_.know_last_use([&id](const std::string& key) { return WallTime{key == id ? 77 : 0}; });
  EXPECT_NE(call("GET", "keys/" + id)->body.find(R"("last_used_us":77)"), std::string::npos);
}

TEST_F(KeysApiTest, RowsFromBeforeThereWereRolesAreAdmins) {
  const std::string text = make_key(KeyKind::Operator);
  const std::string row = R"({"id":"key_old","hash":")" + to_hex(sha256(text)) +
                          R"(","role":"operator","tenant":"","label":""})";
  ASSERT_TRUE(table_->apply({{std::string{row_kind::kKey}, "key_old", row, 0}}));
  EXPECT_EQ(caller(text)->operator_role, OperatorRole::Admin);
}

}  // namespace
}  // namespace perigee::control
