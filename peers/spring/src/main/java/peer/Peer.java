package peer;

import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpSession;
import java.util.HashMap;
import java.util.Map;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;

/** The lab's contract on Spring Session, which Boot puts behind the servlet's HttpSession. */
@SpringBootApplication
@RestController
public class Peer {
    public static void main(String[] args) {
        SpringApplication.run(Peer.class, args);
    }

    @GetMapping("/healthz")
    void health() {
    }

    @GetMapping("/api/session")
    Map<String, Object> session(HttpServletRequest request) {
        Map<String, Object> document = new HashMap<>();
        HttpSession session = request.getSession(false);
        if (session != null) {
            document.put("user", session.getAttribute("user"));
            document.put("visits", session.getAttribute("visits"));
            document.put("cart", session.getAttribute("cart"));
        }
        return document;
    }

    @PostMapping("/api/visits")
    Map<String, Object> visits(HttpSession session) {
        Integer visits = (Integer) session.getAttribute("visits");
        visits = visits == null ? 1 : visits + 1;
        session.setAttribute("visits", visits);
        return Map.of("visits", visits);
    }

    @PostMapping("/api/cart/{sku}")
    Map<String, Object> cart(HttpSession session, @PathVariable String sku, @RequestParam int quantity) {
        @SuppressWarnings("unchecked")
        Map<String, Integer> cart = (Map<String, Integer>) session.getAttribute("cart");
        if (cart == null) {
            cart = new HashMap<>();
        }
        cart.merge(sku, quantity, Integer::sum);
        session.setAttribute("cart", cart);
        return Map.of("cart", cart);
    }

    /** Changes the identifier as Spring Security does at a login: its default is the servlet's changeSessionId. */
    @PostMapping("/login")
    void login(HttpServletRequest request, @RequestParam String user) {
        request.getSession();
        request.changeSessionId();
        request.getSession().setAttribute("user", user);
    }

    @PostMapping("/logout")
    void logout(HttpServletRequest request) {
        HttpSession session = request.getSession(false);
        if (session != null) {
            session.invalidate();
        }
    }
}
