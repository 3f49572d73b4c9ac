package checkpassword

import (
	"slices"
	"strings"
	"testing"
)

const (
	longPhrase = "a longer passphrase, of more than sixteen and even sixty-four bytes in all!"
	oddPhrase  = "pä:ss wörd"

	ofSecret = "$y$j75$vu/onPXfNSYtJmu4hvQkt1$ctVIAg9Nsap//add0i24irnnI41YFMl.WKWu9fvjcmB" // cheap
)

// Made by crypt(3) of libxcrypt, mkpasswd(1), "openssl passwd" and argon2(1).
var vectors = []struct{ stored, password string }{
	{"$6$vjOZ/B8nE0n.AWVx$NvAcVtD60Kjpo0lhtqH9kDC8qu.iBd0xfSvC2BlB.qNFvQrImoHQopvmzKrqwPa/1bxjomKaZT330HRIC/mwr/", "secret"},
	{"$6$rounds=1000$x9Dmnou0L4OiWVty$EPDwtgq0owjf2HTTi65w5FeSlyNvBjs8Ycd8f51WHxgUi/hJPq.A/aTvDu8VqkAGPI11z2MH4jSGCMsXQxB7b0", "secret"},
	{"$6$rounds=10000$s$8K4tup6e7ymsqqDygMP./5frMZcm683lP0oRNcG1WJz0/eXtyY/MAzllobXymU/SxUN4br/WiQ7O3G/P5o7on/", "secret"},
	{"$6$$2M9DchxW4txWyTYoZrH9D3VvAAQxBpEezYsLY6Cao.jwzEXpyL9xwip9hiUZX7GqTqe/E/z6iKvZqXUuqniQH.", "secret"},
	{"$6$saltstring$lpKILQ1WoCztkVBzEHGvV6ybbS2mT7s/LdLEHSJFQpiaHL1S4v6DNLXK4CxGh1Aa2P9w.aFdEOeRH54GQksEh/", longPhrase},
	{"$6$saltstring$6iObEK.QRBe2FCl6qdOFRHynaHKW0NqCKE650Y7l8/jxZWHZMu8ehzcqjxGt1ksIAtmQl0jIlEDxbHlStt.YR.", oddPhrase},
	{"$5$2lFadSo4bsADyBSO$lw8jdhh1Vn7nJcUP4qCK0DJbsQo.gxV.Hs0wntym2.D", "secret"},
	{"$5$Z0qoalj6xIdGNaj5$EOY9HPx5J4leYyjFmmpVcvsbeJGJ4QTxnzigDcowq1B", "p"},
	{"$5$4A.vQolfWmo.7Sfy$qMPFHY03OcCOXYHmMrTWgVS2piz3LrqooQXHSVHB80C", longPhrase},
	{"$5$32OOmRdLxy0nkJDy$5SFvw.HxMJwJ0xAoISPIU6X7k6XljW2avK7J6bhtK0D", oddPhrase},
	{"$y$j9T$sngA1N/6UmLmPNCdQ/xlt0$cMOfxdfkYa9d8Qk6c1RBgN8yYCoprW70oD2l8b1pgcC", "secret"},
	{"$y$j75$$2ydGyJY.m3lesWesWhmcrVX27GKM4AqNwOMJADwvhjB", "secret"},
	{ofSecret, "secret"},
	{"$y$j75$JxN0ZSRm.m/rpMhApmerL.$yMGVnSg9H39mP7ZNzPzpSZHNLuG61/KIj7AqUg6qYH7", longPhrase},
	{"$y$j75$gld8mYD2lvCq3JXklEo0N/$BBSWW0IYTskBumKHppDgtam8QbEYcP6zMb7sDB0run0", oddPhrase},
	{"$2b$05$/sJSLuNCrlGO97BCupEeVObDsIbztqBPeoRV1xp9AwkTiks21770q", "secret"},
	{"$2a$05$78A8fY3rSsoxITtsWyRWYeV0vi4N79Z5pDDUpELA8cH34/Zm/4egi", "secret"},
	{"$2y$05$cg2PUOiApfWTaYYMZLJPh.JJp1ckk6Wl3Bde7SZ1IEo8CyCX0uw.W", "secret"},
	{"$2b$05$5Qq2cYKKedYxhWURICCsEe/0oK2xcI0Yy75S6ngYlIhWpO0x4XbSG", longPhrase},
	{"$2b$05$tv1rq3x9ZC208/iLQvPJ8O2bmtSbBeeEYwbZqv5BZyfRP1SuzGN12", oddPhrase},
	{"$1$pSFNUjf.$pi48oB5gHKL6lmtLCYwJc0", "secret"},
	{"$1$x$hiN0EG1U2OVhvWQBid7j81", "p"},
	{"$1$q08U/HCJ$mkaAHL468avwLem34f8qz0", longPhrase},
	{"$1$x$5H3geUakVzdUJH5XlJnY..", oddPhrase},
	{"$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$14ukWqiThj4Xz77NYv01V28GbBZHY9AaZwsFswQFO0U", "secret"},
	{"$argon2id$v=19$m=64,t=1,p=4$YW5vdGhlcjE$EZZr8/YrJBvbW9pt0l5b3g", "secret"},
}

func TestMatch(t *testing.T) {
	for _, v := range vectors {
		if ok, err := match(v.stored, []byte(v.password)); !ok || err != nil {
			t.Errorf("%s is not %q: %v", v.stored, v.password, err)
		}
		for _, wrong := range []string{"", "Secret", v.password[:len(v.password)-1]} {
			if ok, err := match(v.stored, []byte(wrong)); wrong != v.password && (ok || err != nil) {
				if len(v.password) > 72 && strings.HasPrefix(v.stored, "$2") {
					continue // bcrypt looks no further
				}
				t.Errorf("%s is %q: %v, %v", v.stored, wrong, ok, err)
			}
		}
		if !known(v.stored) || !hashed(v.stored) {
			t.Errorf("%s is not known", v.stored)
		}
		// Another byte of the hash itself.
		i := len(v.stored) - 2
		other := v.stored[:i] + string(v.stored[i]^1) + v.stored[i+1:]
		if ok, _ := match(other, []byte(v.password)); ok {
			t.Errorf("%s is %q", other, v.password)
		}
	}
}

// Hashes of methods, and at costs, that nobody here computes: an error, and
// quickly.
func TestMatchUnknown(t *testing.T) {
	for _, stored := range []string{
		"", "x", "!", "*", "!" + ofSecret, "$", "$$", "$6", "$6$", "$6$salt", "$5$", "$1$", "$1$salt", "$y$", "$y$j9T$",
		"abNANd1rDfiNc",
		"$gy$j9T$k0W5pa9QcEBDfCuz3I7zq1$0FKDW97OyJOK63FqnJtDHJRTT/TfsmVr0GaNmiBtaF0",
		"$7$CU..../....H8Gii49R.k4.yaxRwbz0.1$fhspzwxQSBgBtZO2Ma8X9jSaUlSJ4Obp3Z2EvY7oeO2",
		"$2x$05$cg2PUOiApfWTaYYMZLJPh.JJp1ckk6Wl3Bde7SZ1IEo8CyCX0uw.W",
		"$2b$31$/sJSLuNCrlGO97BCupEeVObDsIbztqBPeoRV1xp9AwkTiks21770q",
		"$2b$05$/sJSLuNCrlGO97BCupEeVO",
		"$2b$05$/sJSLuNCrlGO97BCupEeVObDsIbztqBPeoRV1xp9AwkTiks21770q0",
		"$6$rounds=999$s$x", "$6$rounds=$s$x", "$6$rounds=-1$s$x", "$6$rounds=999999999$s$x", "$6$rounds=99999999999999999999$s$x",
		"$6$seventeencharacte$x", "$1$ninechars$x",
		"$y$jFT$2xMsWaZST/lkA9i3NTp6h/$QAQBrrpDENhMmPN9GKF3tFY5Kv8iTKPbZC48/HJkqv/",
		"$y$jzz$2xMsWaZST/lkA9i3NTp6h/$QAQBrrpDENhMmPN9GKF3tFY5Kv8iTKPbZC48/HJkqv/",
		"$y$k9T$2xMsWaZST/lkA9i3NTp6h/$QAQBrrpDENhMmPN9GKF3tFY5Kv8iTKPbZC48/HJkqv/",
		"$y$j9T$:$QAQBrrpDENhMmPN9GKF3tFY5Kv8iTKPbZC48/HJkqv/",
		"$argon2i$v=19$m=64,t=1,p=4$YW5vdGhlcjE$w0aHUnBn9F3itOsNvlX/Cg",
		"$argon2id$v=16$m=64,t=1,p=4$YW5vdGhlcjE$J/UoSrkmOgTyhnVcl/G/NA",
		"$argon2id$v=19$m=4294967295,t=1,p=4$YW5vdGhlcjE$EZZr8/YrJBvbW9pt0l5b3g",
		"$argon2id$v=19$m=262145,t=1,p=1$YW5vdGhlcjE$EZZr8/YrJBvbW9pt0l5b3g",
		"$argon2id$v=19$m=262144,t=5,p=1$YW5vdGhlcjE$EZZr8/YrJBvbW9pt0l5b3g",
		"$argon2id$v=19$m=64,t=65,p=4$YW5vdGhlcjE$EZZr8/YrJBvbW9pt0l5b3g",
		"$argon2id$v=19$m=64,t=0,p=4$YW5vdGhlcjE$EZZr8/YrJBvbW9pt0l5b3g",
		"$argon2id$v=19$m=64,t=1,p=0$YW5vdGhlcjE$EZZr8/YrJBvbW9pt0l5b3g",
		"$argon2id$v=19$m=64,t=1,p=17$YW5vdGhlcjE$EZZr8/YrJBvbW9pt0l5b3g",
		"$argon2id$v=19$m=31,t=1,p=4$YW5vdGhlcjE$EZZr8/YrJBvbW9pt0l5b3g",
		"$argon2id$v=19$m=64,t=1$YW5vdGhlcjE$EZZr8/YrJBvbW9pt0l5b3g",
		"$argon2id$v=19$t=1,m=64,p=4$YW5vdGhlcjE$EZZr8/YrJBvbW9pt0l5b3g",
		"$argon2id$v=19$m=64,t=1,p=4,data=x$YW5vdGhlcjE$EZZr8/YrJBvbW9pt0l5b3g",
		"$argon2id$v=19$m=64,t=1,p=4$YW5vdGhlcjE=$EZZr8/YrJBvbW9pt0l5b3g",
		"$argon2id$v=19$m=64,t=1,p=4$YW5vdGhlcjE$EZZr8/YrJBvbW9pt0l5b3h", // two bits too many
		"$argon2id$v=19$m=64,t=1,p=4$YW5v$EZZr8/YrJBvbW9pt0l5b3g",
		"$argon2id$v=19$m=64,t=1,p=4$YW5vdGhlcjE$EZZr8w",
		"$argon2id$v=19$m=64,t=1,p=4$YW5vdGhlcjE$",
		"$argon2id$v=19$m=64,t=1,p=4$YW5vdGhlcjE",
		"$argon2id$v=19$",
	} {
		if ok, err := match(stored, []byte("secret")); ok || err != errMethod {
			t.Errorf("%s: %v, %v", stored, ok, err)
		}
	}
}

func TestHashed(t *testing.T) {
	for stored, want := range map[string]bool{
		"": false, "x": false, "*": false, "!": false, "!!": false, "*LK*": false, "!" + ofSecret: false, "NP": false, "thirteenchars:": false, "thirteen char": false,
		"abNANd1rDfiNc": true, "_J9..rasmBYk8r9AiWNc": true, "$gy$j9T$": true, "$1$": true,
	} {
		if hashed(stored) != want {
			t.Errorf("%q", stored)
		}
	}
}

// Who asks for nobody waits for a hash at its full cost: the decoys are real.
func TestDecoys(t *testing.T) {
	for _, decoy := range []string{fileDecoy, systemAccounts.fallback} {
		if ok, err := match(decoy, []byte("secret")); ok || err != nil {
			t.Errorf("%s: %v, %v", decoy, ok, err)
		}
	}
	h, ok := parsePHC(fileDecoy)
	if !ok || h.memory != newMemory || h.time != newTime || h.threads != newThreads || len(h.salt) != newSalt || len(h.key) != newKey {
		t.Errorf("the decoy is %+v: not what new passwords are", h)
	}
}

func TestHashArgon2id(t *testing.T) {
	h := hashArgon2id([]byte("secret"), []byte("somesaltsomesalt"))
	if want := vectors[slices.IndexFunc(vectors, func(v struct{ stored, password string }) bool { return strings.HasPrefix(v.stored, "$argon2id$") })].stored; h != want {
		t.Errorf("%s, want %s", h, want)
	}
}

func FuzzPHC(f *testing.F) {
	f.Add(fileDecoy)
	f.Add("$argon2id$v=19$m=64,t=1,p=4$YW5vdGhlcjE$EZZr8/YrJBvbW9pt0l5b3g")
	f.Add("$argon2id$v=19$m=064,t=1,p=4$$")
	f.Fuzz(func(t *testing.T, s string) {
		h, ok := parsePHC(s)
		if !ok {
			return
		}
		if int(h.memory)<<10 > maxMemory || h.time < 1 || h.threads < 1 || int(h.memory) < 8*int(h.threads) {
			t.Errorf("%s: %+v", s, h)
		}
		again, ok := parsePHC(h.String())
		if !ok || again.String() != h.String() {
			t.Errorf("%s is not %s", h, s)
		}
	})
}

// Whatever stands in a file, comparing ends, and nothing fits two passwords.
func FuzzMatch(f *testing.F) {
	for _, v := range vectors {
		if !strings.Contains(v.stored, "j9T") {
			f.Add(v.stored)
		}
	}
	f.Add("$6$rounds=1000$$")
	f.Fuzz(func(t *testing.T, stored string) {
		h, phc := parsePHC(stored)
		switch {
		case phc && h.memory*h.time > 1024,
			strings.HasPrefix(stored, "$y$") && !strings.HasPrefix(stored, "$y$j75$"),
			strings.HasPrefix(stored, "$2") && !strings.HasPrefix(stored[min(3, len(stored)):], "$05"),
			strings.Contains(stored, "rounds=") && !strings.Contains(stored, "rounds=1000$"):
			return // slow
		}
		a, _ := match(stored, []byte("secret"))
		b, _ := match(stored, []byte("Secret"))
		if a && b {
			t.Errorf("%q fits everything", stored)
		}
	})
}
