;; Calls that pass 1,000 values each, in two bytes each.
(module
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (type $wide (func (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
  (func $wide (type $wide)
    (call $wide (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5) (local.get 6) (local.get 7) (local.get 8) (local.get 9) (local.get 10) (local.get 11) (local.get 12) (local.get 13) (local.get 14) (local.get 15) (local.get 16) (local.get 17) (local.get 18) (local.get 19) (local.get 20) (local.get 21) (local.get 22) (local.get 23) (local.get 24) (local.get 25) (local.get 26) (local.get 27) (local.get 28) (local.get 29) (local.get 30) (local.get 31) (local.get 32) (local.get 33) (local.get 34) (local.get 35) (local.get 36) (local.get 37) (local.get 38) (local.get 39) (local.get 40) (local.get 41) (local.get 42) (local.get 43) (local.get 44) (local.get 45) (local.get 46) (local.get 47) (local.get 48) (local.get 49) (local.get 50) (local.get 51) (local.get 52) (local.get 53) (local.get 54) (local.get 55) (local.get 56) (local.get 57) (local.get 58) (local.get 59) (local.get 60) (local.get 61) (local.get 62) (local.get 63) (local.get 64) (local.get 65) (local.get 66) (local.get 67) (local.get 68) (local.get 69) (local.get 70) (local.get 71) (local.get 72) (local.get 73) (local.get 74) (local.get 75) (local.get 76) (local.get 77) (local.get 78) (local.get 79) (local.get 80) (local.get 81) (local.get 82) (local.get 83) (local.get 84) (local.get 85) (local.get 86) (local.get 87) (local.get 88) (local.get 89) (local.get 90) (local.get 91) (local.get 92) (local.get 93) (local.get 94) (local.get 95) (local.get 96) (local.get 97) (local.get 98) (local.get 99) (local.get 100) (local.get 101) (local.get 102) (local.get 103) (local.get 104) (local.get 105) (local.get 106) (local.get 107) (local.get 108) (local.get 109) (local.get 110) (local.get 111) (local.get 112) (local.get 113) (local.get 114) (local.get 115) (local.get 116) (local.get 117) (local.get 118) (local.get 119) (local.get 120) (local.get 121) (local.get 122) (local.get 123) (local.get 124) (local.get 125) (local.get 126) (local.get 127) (local.get 128) (local.get 129) (local.get 130) (local.get 131) (local.get 132) (local.get 133) (local.get 134) (local.get 135) (local.get 136) (local.get 137) (local.get 138) (local.get 139) (local.get 140) (local.get 141) (local.get 142) (local.get 143) (local.get 144) (local.get 145) (local.get 146) (local.get 147) (local.get 148) (local.get 149) (local.get 150) (local.get 151) (local.get 152) (local.get 153) (local.get 154) (local.get 155) (local.get 156) (local.get 157) (local.get 158) (local.get 159) (local.get 160) (local.get 161) (local.get 162) (local.get 163) (local.get 164) (local.get 165) (local.get 166) (local.get 167) (local.get 168) (local.get 169) (local.get 170) (local.get 171) (local.get 172) (local.get 173) (local.get 174) (local.get 175) (local.get 176) (local.get 177) (local.get 178) (local.get 179) (local.get 180) (local.get 181) (local.get 182) (local.get 183) (local.get 184) (local.get 185) (local.get 186) (local.get 187) (local.get 188) (local.get 189) (local.get 190) (local.get 191) (local.get 192) (local.get 193) (local.get 194) (local.get 195) (local.get 196) (local.get 197) (local.get 198) (local.get 199) (local.get 200) (local.get 201) (local.get 202) (local.get 203) (local.get 204) (local.get 205) (local.get 206) (local.get 207) (local.get 208) (local.get 209) (local.get 210) (local.get 211) (local.get 212) (local.get 213) (local.get 214) (local.get 215) (local.get 216) (local.get 217) (local.get 218) (local.get 219) (local.get 220) (local.get 221) (local.get 222) (local.get 223) (local.get 224) (local.get 225) (local.get 226) (local.get 227) (local.get 228) (local.get 229) (local.get 230) (local.get 231) (local.get 232) (local.get 233) (local.get 234) (local.get 235) (local.get 236) (local.get 237) (local.get 238) (local.get 239) (local.get 240) (local.get 241) (local.get 242) (local.get 243) (local.get 244) (local.get 245) (local.get 246) (local.get 247) (local.get 248) (local.get 249) (local.get 250) (local.get 251) (local.get 252) (local.get 253) (local.get 254) (local.get 255) (local.get 256) (local.get 257) (local.get 258) (local.get 259) (local.get 260) (local.get 261) (local.get 262) (local.get 263) (local.get 264) (local.get 265) (local.get 266) (local.get 267) (local.get 268) (local.get 269) (local.get 270) (local.get 271) (local.get 272) (local.get 273) (local.get 274) (local.get 275) (local.get 276) (local.get 277) (local.get 278) (local.get 279) (local.get 280) (local.get 281) (local.get 282) (local.get 283) (local.get 284) (local.get 285) (local.get 286) (local.get 287) (local.get 288) (local.get 289) (local.get 290) (local.get 291) (local.get 292) (local.get 293) (local.get 294) (local.get 295) (local.get 296) (local.get 297) (local.get 298) (local.get 299) (local.get 300) (local.get 301) (local.get 302) (local.get 303) (local.get 304) (local.get 305) (local.get 306) (local.get 307) (local.get 308) (local.get 309) (local.get 310) (local.get 311) (local.get 312) (local.get 313) (local.get 314) (local.get 315) (local.get 316) (local.get 317) (local.get 318) (local.get 319) (local.get 320) (local.get 321) (local.get 322) (local.get 323) (local.get 324) (local.get 325) (local.get 326) (local.get 327) (local.get 328) (local.get 329) (local.get 330) (local.get 331) (local.get 332) (local.get 333) (local.get 334) (local.get 335) (local.get 336) (local.get 337) (local.get 338) (local.get 339) (local.get 340) (local.get 341) (local.get 342) (local.get 343) (local.get 344) (local.get 345) (local.get 346) (local.get 347) (local.get 348) (local.get 349) (local.get 350) (local.get 351) (local.get 352) (local.get 353) (local.get 354) (local.get 355) (local.get 356) (local.get 357) (local.get 358) (local.get 359) (local.get 360) (local.get 361) (local.get 362) (local.get 363) (local.get 364) (local.get 365) (local.get 366) (local.get 367) (local.get 368) (local.get 369) (local.get 370) (local.get 371) (local.get 372) (local.get 373) (local.get 374) (local.get 375) (local.get 376) (local.get 377) (local.get 378) (local.get 379) (local.get 380) (local.get 381) (local.get 382) (local.get 383) (local.get 384) (local.get 385) (local.get 386) (local.get 387) (local.get 388) (local.get 389) (local.get 390) (local.get 391) (local.get 392) (local.get 393) (local.get 394) (local.get 395) (local.get 396) (local.get 397) (local.get 398) (local.get 399) (local.get 400) (local.get 401) (local.get 402) (local.get 403) (local.get 404) (local.get 405) (local.get 406) (local.get 407) (local.get 408) (local.get 409) (local.get 410) (local.get 411) (local.get 412) (local.get 413) (local.get 414) (local.get 415) (local.get 416) (local.get 417) (local.get 418) (local.get 419) (local.get 420) (local.get 421) (local.get 422) (local.get 423) (local.get 424) (local.get 425) (local.get 426) (local.get 427) (local.get 428) (local.get 429) (local.get 430) (local.get 431) (local.get 432) (local.get 433) (local.get 434) (local.get 435) (local.get 436) (local.get 437) (local.get 438) (local.get 439) (local.get 440) (local.get 441) (local.get 442) (local.get 443) (local.get 444) (local.get 445) (local.get 446) (local.get 447) (local.get 448) (local.get 449) (local.get 450) (local.get 451) (local.get 452) (local.get 453) (local.get 454) (local.get 455) (local.get 456) (local.get 457) (local.get 458) (local.get 459) (local.get 460) (local.get 461) (local.get 462) (local.get 463) (local.get 464) (local.get 465) (local.get 466) (local.get 467) (local.get 468) (local.get 469) (local.get 470) (local.get 471) (local.get 472) (local.get 473) (local.get 474) (local.get 475) (local.get 476) (local.get 477) (local.get 478) (local.get 479) (local.get 480) (local.get 481) (local.get 482) (local.get 483) (local.get 484) (local.get 485) (local.get 486) (local.get 487) (local.get 488) (local.get 489) (local.get 490) (local.get 491) (local.get 492) (local.get 493) (local.get 494) (local.get 495) (local.get 496) (local.get 497) (local.get 498) (local.get 499))
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
    call $wide
  )
  (func (export "diagnose") (result i32)
    i32.const 0
  )
)
