#include "control/control_api.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "control/control_test_grid.h"
#include "identity/key_text.h"

namespace perigee::control {
namespace {

class ControlApiTest : public testing::Test {
 protected:
  struct Reply {
    int status = 0;
    std::string body;  // of an error: its message
    std::uint64_t revision = 0;
    Code code = Code::Internal;
    std::string param;
  };
  Reply call(std::string_view method, const std::string& path, const std::string& body = "",
             const std::string& if_match = "", const std::string& if_none_match = "") {
    const std::string full = "/control/v1/" + path;
    const std::string authorization = key_.empty() ? "" : "Bearer " + key_;
    auto answer = api_.answer({method, full, body, authorization, if_match, if_none_match});
    if (!answer) {
      return {0, answer.error().message, 0, answer.error().code, answer.error().param};
    }
    return {answer->status, std::string{answer->text()}, answer->revision, Code::Internal, ""};
  }
  std::string token_for(const std::string& site) {
    const Reply made =
        call("POST", "join-tokens", R"({"site":")" + site + R"(","jurisdiction":"de"})");
    EXPECT_EQ(made.status, 201) << made.body;
    return json_text(made.body, "token");
  }
  static std::string join_body(const std::string& token, const std::string& name,
                               const std::string& jurisdiction = "de") {
    return R"({"token":")" + token + R"(","name":")" + name +
           R"(","url":"http://127.0.0.1:8101","tier":"metro","jurisdiction":")" + jurisdiction +
           R"(","latitude":52.5,"longitude":13.4})";
  }

  TestFolder folder_;
  ManualClock clock_;
  std::unique_ptr<DirectoryTable> table_ =
      make_table(std::make_unique<MemoryDirectory>(), clock_, folder_.file("operator.key"));
  ControlApi api_{*table_, clock_};
  std::string key_ = first_line(folder_.file("operator.key"));
};

TEST_F(ControlApiTest, WritesThePrivateOperatorKeyOnceOnly) {
  struct stat facts{};
  ASSERT_EQ(::stat(folder_.file("operator.key").c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777U, 0600U);
  EXPECT_EQ(kind_of_key(key_), KeyKind::Operator);
  ASSERT_TRUE(ensure_operator_key(*table_, clock_, folder_.file("operator.key"), nullptr));
  EXPECT_EQ(table_->snapshot().keys.size(), 1U);
  EXPECT_EQ(first_line(folder_.file("operator.key")), key_);
}

TEST_F(ControlApiTest, AFolderHasOneProcess) {
  const std::string folder = folder_.file(".");
  {
    const auto held = FolderLock::lock(folder);
    ASSERT_TRUE(held) << held.error().message;
    const auto second = FolderLock::lock(folder);
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().message.find("process " + std::to_string(::getpid())),
              std::string::npos)
        << second.error().message;
  }
  EXPECT_TRUE(FolderLock::lock(folder)) << "whoever ends leaves it";
}

TEST_F(ControlApiTest, TakesUpAStartThatDiedBeforeTheDirectoryKnewTheKey) {
  auto table =
      make_table(std::make_unique<MemoryDirectory>(), clock_, folder_.file("operator.key"));
  EXPECT_TRUE(table->identity().authenticate("Bearer " + key_));
  ASSERT_TRUE(create_private_file(folder_.file("other"), "not a key\n"));
  auto fresh = DirectoryTable::load(std::make_unique<MemoryDirectory>(), clock_, "test");
  ASSERT_TRUE(fresh);
  const auto refused = ensure_operator_key(**fresh, clock_, folder_.file("other"), nullptr);
  ASSERT_FALSE(refused);
  EXPECT_EQ(first_line(folder_.file("other")), "not a key");
}

TEST_F(ControlApiTest, ASiteIsMadeReadChangedAndRemoved) {
  const Reply made = call("PUT", "sites/metro-berlin", kSiteBody);
  EXPECT_EQ(made.status, 201) << made.body;
  EXPECT_NE(made.body.find(R"("tier":"metro")"), std::string::npos);
  EXPECT_EQ(call("PUT", "sites/metro-berlin", kSiteBody).status, 200);
  EXPECT_EQ(call("GET", "sites/metro-berlin").revision, made.revision + 1);
  EXPECT_NE(call("GET", "sites").body.find(R"("name":"metro-berlin")"), std::string::npos);
  EXPECT_NE(call("POST", "sites/metro-berlin/drain").body.find(R"("drained":true)"),
            std::string::npos);
  EXPECT_NE(call("POST", "sites/metro-berlin/undrain").body.find(R"("drained":false)"),
            std::string::npos);
  EXPECT_EQ(call("DELETE", "sites/metro-berlin").status, 200);
  EXPECT_EQ(call("GET", "sites/metro-berlin").code, Code::NotFound);
}

TEST_F(ControlApiTest, RefusesALostUpdate) {
  const Reply made = call("PUT", "sites/a", kSiteBody);
  const std::string etag = "\"" + std::to_string(made.revision) + "\"";
  EXPECT_EQ(call("PUT", "sites/a", kSiteBody, etag).status, 200);
  EXPECT_EQ(call("PUT", "sites/a", kSiteBody, etag).code, Code::FailedPrecondition);
  EXPECT_EQ(call("DELETE", "sites/a", "", etag).code, Code::FailedPrecondition);
  EXPECT_EQ(call("PUT", "sites/a", kSiteBody, "", "*").code, Code::AlreadyExists);
  EXPECT_EQ(call("PUT", "sites/b", kSiteBody, "", "*").status, 201);
  EXPECT_EQ(call("PUT", "sites/a", kSiteBody, "x").param, "if-match");
}

TEST_F(ControlApiTest, RefusesWhatIsMalformed) {
  EXPECT_EQ(call("PUT", "sites/a",
                 R"({"url":"ftp://x","tier":"core","jurisdiction":"de",)"
                 R"("latitude":1,"longitude":1})")
                .param,
            "url");
  EXPECT_EQ(call("PUT", "sites/A%20b", kSiteBody).param, "name");
  EXPECT_EQ(call("GET", "sites/%zz").param, "path");
  EXPECT_EQ(call("PATCH", "sites/a").code, Code::MethodNotAllowed);
  EXPECT_EQ(call("POST", "sites/a/explode").code, Code::NotFound);
  EXPECT_EQ(call("GET", "nothing").code, Code::NotFound);
  EXPECT_EQ(call("PUT", "placements/a", "{}").param, "path");
}

TEST_F(ControlApiTest, APlacementNeedsItsSiteAndModelAndHoldsTheModel) {
  EXPECT_EQ(call("PUT", "placements/a/org/m:q8", "{}").code, Code::NotFound);
  call("PUT", "sites/a", kSiteBody);
  EXPECT_EQ(call("PUT", "placements/a/org/m:q8", "{}").code, Code::NotFound);
  EXPECT_EQ(call("PUT", "models/org%2Fm:q8", R"({"file":"m.gguf"})").status, 201);
  EXPECT_EQ(call("PUT", "placements/a/org/m:q8", R"({"slots":4})").status, 201);
  EXPECT_EQ(call("GET", "placements/a/org/m:q8").status, 200);
  EXPECT_EQ(call("DELETE", "models/org/m:q8").code, Code::FailedPrecondition);
  EXPECT_EQ(call("DELETE", "sites/a").status, 200) << "takes its placements along";
  EXPECT_EQ(call("DELETE", "models/org/m:q8").status, 200);
}

TEST_F(ControlApiTest, AKeyIsShownOnceAndTellsWhyItIsRefused) {
  EXPECT_EQ(call("POST", "keys", R"({"tenant":"acme"})").code, Code::NotFound);
  ASSERT_EQ(call("PUT", "tenants/acme").status, 201);
  const Reply made = call("POST", "keys", R"({"tenant":"acme","label":"ci","expires_in_s":60})");
  ASSERT_EQ(made.status, 201) << made.body;
  const std::string text = json_text(made.body, "key");
  const std::string id = json_text(made.body, "id");
  EXPECT_EQ(call("GET", "keys").body.find(text), std::string::npos);
  const Identity& identity = table_->identity();
  EXPECT_EQ(identity.authenticate("Bearer " + text)->tenant.str(), "acme");
  call("POST", "tenants/acme/suspend");
  EXPECT_EQ(identity.authenticate("Bearer " + text).error().code, Code::PermissionDenied);
  call("POST", "tenants/acme/resume");
  EXPECT_EQ(call("DELETE", "keys/" + id).status, 200);
  EXPECT_NE(identity.authenticate("Bearer " + text).error().message.find("revoked"),
            std::string::npos);
  EXPECT_EQ(call("DELETE", "tenants/acme").status, 200);
  EXPECT_EQ(call("GET", "keys/" + id).code, Code::NotFound);
}

TEST_F(ControlApiTest, TheLastOperatorKeyStays) {
  EXPECT_EQ(call("DELETE", "keys/key_first_operator").code, Code::FailedPrecondition);
  call("POST", "keys", R"({"role":"operator","expires_in_s":60})");
  EXPECT_EQ(call("DELETE", "keys/key_first_operator").code, Code::FailedPrecondition);
  call("POST", "keys", R"({"role":"operator"})");
  EXPECT_EQ(call("DELETE", "keys/key_first_operator").status, 200);
}

TEST_F(ControlApiTest, OnlyOperatorsChangeTheDirectory) {
  call("PUT", "tenants/acme");
  const std::string tenant_key =
      json_text(call("POST", "keys", R"({"tenant":"acme"})").body, "key");
  const Reply joined = call("POST", "join", join_body(token_for("a"), "a"));
  const std::string site_key = json_text(joined.body, "key");
  key_ = site_key;
  EXPECT_EQ(call("GET", "snapshot").status, 200);
  EXPECT_EQ(call("GET", "keys").code, Code::PermissionDenied);
  EXPECT_EQ(call("PUT", "sites/a", kSiteBody).code, Code::PermissionDenied);
  EXPECT_EQ(call("POST", "sites/a/drain").code, Code::PermissionDenied);
  key_ = tenant_key;
  EXPECT_EQ(call("GET", "snapshot").code, Code::PermissionDenied);
  key_.clear();
  EXPECT_EQ(call("GET", "sites").code, Code::Unauthenticated);
}

TEST_F(ControlApiTest, AJoinTokenWorksOnceForItsNameUntilItExpires) {
  const std::string token = token_for("a");
  EXPECT_EQ(table_->snapshot_json()->find("join_"), std::string::npos) << "sites never see tokens";
  EXPECT_NE(call("POST", "join", join_body(token, "b")).body.find("another name"),
            std::string::npos);
  const Reply joined = call("POST", "join", join_body(token, "a"));
  ASSERT_EQ(joined.status, 201) << joined.body;
  EXPECT_EQ(json_text(joined.body, "grid"), "test");
  const auto caller = table_->identity().authenticate("Bearer " + json_text(joined.body, "key"));
  ASSERT_TRUE(caller);
  EXPECT_EQ(caller->site.str(), "a");
  EXPECT_NE(call("POST", "join", join_body(token, "a")).body.find("already used"),
            std::string::npos);

  const std::string late = token_for("c");
  clock_.advance(seconds{3600});
  EXPECT_NE(call("POST", "join", join_body(late, "c")).body.find("expired"), std::string::npos);
  EXPECT_NE(call("POST", "join", join_body(make_key(KeyKind::JoinToken), "c")).body.find("unknown"),
            std::string::npos);
  EXPECT_NE(call("POST", "join", join_body(late + "x", "c")).body.find("mistyped"),
            std::string::npos);
  EXPECT_FALSE(table_->snapshot().sites.contains(SiteId{"c"}));
}

TEST_F(ControlApiTest, JoiningAgainReplacesTheKeyAndCannotChangeTheLaw) {
  const Reply first = call("POST", "join", join_body(token_for("a"), "a"));
  const std::string old_key = json_text(first.body, "key");
  const std::string token = token_for("a");
  EXPECT_EQ(call("POST", "join", join_body(token, "a", "fr")).param, "jurisdiction");
  const Reply second = call("POST", "join", join_body(token, "a"));
  ASSERT_EQ(second.status, 201) << "a refused try does not use the token up: " << second.body;
  EXPECT_FALSE(table_->identity().authenticate("Bearer " + old_key));
  EXPECT_TRUE(table_->identity().authenticate("Bearer " + json_text(second.body, "key")));
}

TEST_F(ControlApiTest, ARemovedSiteIsNoLongerTrusted) {
  const Reply joined = call("POST", "join", join_body(token_for("a"), "a"));
  const std::string spare = token_for("a");
  call("DELETE", "sites/a");
  EXPECT_FALSE(table_->identity().authenticate("Bearer " + json_text(joined.body, "key")));
  EXPECT_NE(call("POST", "join", join_body(spare, "a")).body.find("unknown"), std::string::npos);
}

TEST_F(ControlApiTest, TheLawOfANewSiteIsTheWordOfWhoMadeItsToken) {
  EXPECT_EQ(call("POST", "join-tokens", R"({"site":"cell-new"})").param, "jurisdiction")
      << "a token for a site of no known law";
  const Reply lied = call("POST", "join", join_body(token_for("cell-new"), "cell-new", "fr"));
  EXPECT_EQ(lied.code, Code::FailedPrecondition);
  EXPECT_EQ(lied.param, "jurisdiction");
  EXPECT_EQ(call("GET", "sites/cell-new").code, Code::NotFound);
  EXPECT_EQ(call("POST", "join", join_body(token_for("cell-new"), "cell-new")).status, 201);
  const Reply again = call("POST", "join-tokens", R"({"site":"cell-new"})");
  EXPECT_EQ(again.status, 201) << "it is registered by now";
  EXPECT_EQ(json_text(again.body, "jurisdiction"), "de");
  EXPECT_EQ(call("POST", "join-tokens", R"({"site":"cell-new","jurisdiction":"fr"})").code,
            Code::FailedPrecondition);
}

TEST_F(ControlApiTest, EventsComeWholeInOrderAndWithoutTokens) {
  constexpr std::size_t kPage = 64 * 1024;
  const std::uint64_t start = table_->snapshot().revision;
  call("PUT", "sites/a", kSiteBody);
  token_for("a");
  call("POST", "sites/a/drain");
  auto events = table_->events_since(start, kPage);
  ASSERT_TRUE(events);
  ASSERT_EQ(events->size(), 3U);
  EXPECT_NE(events->at(0).text->find(R"("key":"a")"), std::string::npos);
  EXPECT_NE(events->at(1).text->find(R"("rows":[])"), std::string::npos);
  EXPECT_NE(events->at(2).text->find(R"("drained":true)"), std::string::npos);
  EXPECT_EQ(table_->events_since(start + 2, kPage)->size(), 1U);
  EXPECT_FALSE(table_->events_since(start + 9, kPage));
}

TEST_F(ControlApiTest, ADirectoryKeepsItsGrid) {
  auto directory = std::make_unique<MemoryDirectory>();
  ASSERT_TRUE(directory->apply({{"meta", "grid", R"({"value":"north"})", 0}}));
  auto refused = DirectoryTable::load(std::move(directory), clock_, "south");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("belongs to grid north"), std::string::npos);
}

TEST_F(ControlApiTest, TheAuditLogHasNoLineOfAChangeThatWasRefused) {
  const auto audit = AuditLog::open(folder_.file("audit.log")).value();
  api_.keep_audit(*audit);
  const Reply made = call("PUT", "sites/a", kSiteBody);
  const std::string etag = "\"" + std::to_string(made.revision) + "\"";
  ASSERT_EQ(call("PUT", "sites/a", kSiteBody, etag).status, 200);
  ASSERT_EQ(call("PUT", "sites/a", kSiteBody, etag).code, Code::FailedPrecondition);
  ASSERT_EQ(call("DELETE", "sites/a", "", etag).code, Code::FailedPrecondition);
  ASSERT_EQ(call("PUT", "sites/a", kSiteBody, "", "*").code, Code::AlreadyExists);
  EXPECT_EQ(audit->end().lines, 2U);
}

TEST_F(ControlApiTest, TheAuditLogSaysOfAChangeThatCouldNotBeStoredThatItFailed) {
  bool fails = false;
  MemoryDirectory rows;
  const auto table = make_table(std::make_unique<FailingDirectory>(rows, fails), clock_,
                                folder_.file("operator.key"));
  ControlApi api{*table, clock_};
  const auto audit = AuditLog::open(folder_.file("audit.log")).value();
  api.keep_audit(*audit);
  const std::string authorization = "Bearer " + key_;
  const ApiRequest put{"PUT", "/control/v1/sites/a", kSiteBody, authorization, "", ""};
  fails = true;
  EXPECT_EQ(api.answer(put).error().code, Code::Unavailable);
  fails = false;
  ASSERT_TRUE(api.answer(put));
  std::vector<std::string> lines;
  ASSERT_TRUE(check_audit_file(folder_.file("audit.log"),
                               [&](std::string_view line) { lines.emplace_back(line); }));
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_NE(lines[1].find(R"("failed":"the disk is full")"), std::string::npos) << lines[1];
  EXPECT_EQ(lines[2].find("failed"), std::string::npos) << lines[2];
}

TEST_F(ControlApiTest, TheFirstOperatorsKeyIsTheFirstLineOfTheAuditLog) {
  const auto audit = AuditLog::open(folder_.file("audit.log")).value();
  auto fresh = DirectoryTable::load(std::make_unique<MemoryDirectory>(), clock_, "test");
  ASSERT_TRUE(fresh);
  for (int start = 0; start < 2; ++start) {
    ASSERT_TRUE(ensure_operator_key(**fresh, clock_, folder_.file("operator.key"), audit.get()));
    EXPECT_EQ(audit->end().lines, 1U);
  }
  ASSERT_TRUE(check_audit_file(folder_.file("audit.log"), [](std::string_view line) {
    EXPECT_NE(line.find(R"("action":"create key","name":"key_first_operator")"),
              std::string_view::npos)
        << line;
  }));
}

TEST_F(ControlApiTest, WritesEveryChangeIntoTheAuditLogFirst) {
  const auto audit = AuditLog::open(folder_.file("audit.log")).value();
  api_.keep_audit(*audit);
  ASSERT_EQ(call("PUT", "tenants/acme", "{}").status, 201);
  const Reply made = call("POST", "keys", R"({"tenant":"acme"})");
  ASSERT_EQ(made.status, 201);
  ASSERT_EQ(call("GET", "tenants").status, 200);                   // no change
  ASSERT_EQ(call("PUT", "tenants/acme", R"({"x":1})").status, 0);  // refused
  const std::string token = token_for("berlin");
  key_.clear();
  ASSERT_EQ(call("POST", "join", join_body(token, "berlin")).status, 201);
  std::string lines;
  const auto end = check_audit_file(folder_.file("audit.log"),
                                    [&](std::string_view line) { lines.append(line) += "\n"; });
  ASSERT_TRUE(end) << end.error().message;
  EXPECT_EQ(end->lines, 4U) << lines;
  for (const char* const said : {"put tenant", "create key", "create join token", "\"join\""}) {
    EXPECT_NE(lines.find(said), std::string::npos) << said;
  }
  for (const std::string& secret : {json_text(made.body, "key"), token}) {
    EXPECT_EQ(lines.find(secret), std::string::npos);
    EXPECT_EQ(lines.find(to_hex(sha256(secret))), std::string::npos);
  }
}

}  // namespace
}  // namespace perigee::control
