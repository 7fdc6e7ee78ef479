// Java's HttpClient with its defaults: over plain HTTP it asks for HTTP/2 in an Upgrade (h2c) of its first requests.
// The first argument is the certificate that it trusts.

import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.FileInputStream;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

public class WithHttpClient {
    public static void main(String[] arguments) throws Exception {
        HttpClient client = HttpClient.newBuilder().sslContext(trusting(arguments[0])).build();
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.ISO_8859_1));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            int size = Integer.parseInt(line);
            List<CompletableFuture<String>> batch = new ArrayList<>();
            for (int number = 0; number < size; number++) {
                batch.add(send(client, input.readLine()));
            }
            for (CompletableFuture<String> answer : batch) {
                System.out.println(answer.join());
            }
            System.out.flush();
        }
    }

    private static SSLContext trusting(String path) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null);
        try (FileInputStream file = new FileInputStream(path)) {
            store.setCertificateEntry("trusted", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        TrustManagerFactory managers = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        managers.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, managers.getTrustManagers(), null);
        return context;
    }

    private static CompletableFuture<String> send(HttpClient client, String line) {
        String[] parts = line.split("\t", -1);
        byte[] body = Base64.getDecoder().decode(parts[3]);
        boolean chunked = parts[4].equals("chunked");
        boolean empty = body.length == 0 && !chunked && !parts[0].equals("POST");
        BodyPublisher publisher = empty ? BodyPublishers.noBody()
            : chunked ? BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(body))
            : BodyPublishers.ofByteArray(body);
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(parts[1])).method(parts[0], publisher);
        for (String header : new String(Base64.getDecoder().decode(parts[2]), StandardCharsets.ISO_8859_1).split("\n")) {
            if (!header.isEmpty()) {
                int colon = header.indexOf(": ");
                request.header(header.substring(0, colon), header.substring(colon + 2));
            }
        }
        return client.sendAsync(request.build(), BodyHandlers.ofByteArray())
            .thenApply(WithHttpClient::answer)
            .exceptionally(error -> "error\t\t" + base64(String.valueOf(error).getBytes(StandardCharsets.UTF_8)));
    }

    private static String answer(HttpResponse<byte[]> got) {
        StringBuilder lines = new StringBuilder();
        got.headers().map().forEach((name, values) -> values.forEach(
            value -> lines.append(name).append(": ").append(value).append("\n")));
        byte[] headers = lines.toString().getBytes(StandardCharsets.ISO_8859_1);
        return got.statusCode() + "\t" + base64(headers) + "\t" + base64(got.body());
    }

    private static String base64(byte[] bytes) {
        return Base64.getEncoder().encodeToString(bytes);
    }
}
